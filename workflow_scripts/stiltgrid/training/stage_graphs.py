"""CUDA graphs for a stage: where they pay, and the sizes that its micro-batches are filled up to."""

import logging
from collections.abc import Callable

import numpy as np

from stiltgrid.modeling.graph_sizes import GraphSizes, graph_sizes
from stiltgrid.modeling.graph_trial import recorded_passes
from stiltgrid.modeling.pass_graphs import CudaRecorder, PassGraphs, Recorder
from stiltgrid.modeling.planning import PassCost
from stiltgrid.training.micro_batches import MicroBatches
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)
FEWEST_STEPS = 500  # of a stage; recording ten sizes takes some seconds
SAMPLED_STEPS = 200  # of each task, which the sizes are chosen by
# Up to this multiple of the tokens below which, by `pass_cost`, a GPU waits for its host.
WAITING = 2.0


def stage_graphs(
    plan: StagePlan,
    model: StageModel,
    micro_batches: MicroBatches,
    cost: PassCost,
    make_recorder: Callable[[], Recorder] | None = None,
) -> PassGraphs | None:
    """Graphs of the backbone's passes in this stage, or None.

    They depend on the plan alone, so a resumed stage takes the same. Of several processes, all have graphs or none.
    `make_recorder` is for tests, which have no GPU.
    """
    settings, backbone = plan.settings, model.backbone
    if make_recorder is None and (model.compute.device.type != "cuda" or plan.steps < FEWEST_STEPS):
        return None
    if not settings.cuda_graphs or settings.gradient_checkpointing:
        return None
    found = None
    if backbone.attends_to_unequal_lengths and (sizes := stage_sizes(plan, micro_batches, WAITING * cost.floor)):
        ids = plan.tasks[0].train.tokens["input_ids"][:64]
        found = recorded_passes(backbone, model.compute, sizes, ids, make_recorder or CudaRecorder)
    if micro_batches.group.maximum(int(found is None)):
        LOG.info("stage '%s': no CUDA graphs, which are for short packed passes, in all processes", plan.name)
        return None
    assert found is not None
    LOG.info("stage '%s': CUDA graphs of %s tokens", plan.name, ", ".join(map(str, found.sizes.tokens)))
    return found


def stage_sizes(plan: StagePlan, micro_batches: MicroBatches, most_tokens: float) -> GraphSizes | None:
    """Sizes for the micro-batches of the first steps of each task."""
    found: list[np.ndarray] = []
    for which, task in enumerate(plan.tasks):
        order = task.order(derive_seed(plan.seed, plan.name, task.card.name, "order"))
        for _ in range(min(SAMPLED_STEPS, plan.steps)):
            examples = order.take(task.settings.batch_size)
            found += [task.train.lengths[rows] for rows in micro_batches.of_process(which, examples)]
    return graph_sizes(found, most_tokens)
