"""A trial of recorded passes: do replays compute what the backbone computes, with the weights as they are then?

States and gradients of short sequences are compared without dropout, once with the weights as they were recorded and
once with all trained weights halved: a recording that holds copies of weights would not notice. The comparison is in
the precision of the job, TF32 off.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.graph_sizes import GraphSizes
from stiltgrid.modeling.packing_trial import (
    LENGTHS,
    difference,
    fault_of,
    run,
    run_backbone,
    trial_batch,
    vectors_of,
    without_tf32,
)
from stiltgrid.modeling.pass_graphs import CudaRecorder, PassGraphs, Recorder

LOG = logging.getLogger(__name__)


def recorded_passes(
    backbone: Backbone,
    compute: Compute,
    sizes: GraphSizes,
    ids: np.ndarray,
    make_recorder: Callable[[], Recorder] = CudaRecorder,
) -> PassGraphs | None:
    """Graphs of a backbone's passes in training; None, and a warning that says why, where there are none.

    `ids` are some token ids that the backbone can read. The trial and the graphs have a recorder each, so that nothing
    of the trial remains.
    """
    with without_tf32():
        fault = fault_of(lambda: _fault(backbone, compute, ids, make_recorder()), backbone)
    found: list[PassGraphs] = []

    def record() -> str:
        backbone.train()
        found.append(PassGraphs(backbone, compute, sizes, int(ids[0]), make_recorder()))
        return ""

    fault = fault or fault_of(record, backbone)
    if fault:
        LOG.warning("steps run without CUDA graphs, more slowly where they have few tokens: %s", fault)
    return next(iter(found), None)


def _fault(backbone: Backbone, compute: Compute, ids: np.ndarray, recorder: Recorder) -> str:
    dropped = [name for name, value in backbone.reader.config.to_dict().items() if "layerdrop" in name and value]
    if dropped:
        return f"the model drops layers at random ({dropped[0]}), and a recording would always drop the same"
    backbone.eval()
    batch = trial_batch(np.split(np.resize(ids, sum(LENGTHS)), np.cumsum(LENGTHS)[:-1]), compute, packed=True)
    sizes = GraphSizes((2 * sum(LENGTHS),), 2 * len(LENGTHS) + 2, max(LENGTHS))
    graphs = PassGraphs(backbone, compute, sizes, int(ids[0]), recorder)
    vectors = vectors_of(backbone)

    def replayed(total: torch.Tensor) -> Sequence[torch.Tensor | None]:
        graphs.clear_gradients()
        total.backward()  # type: ignore[no-untyped-call]
        return [graphs.gradients.get(vector) for vector in vectors]

    weights = next(backbone.parameters()).dtype
    for factor in (1.0, 0.5):
        with _scaled(list(graphs.gradients), factor):
            expected = run_backbone(backbone, batch, compute)
            found = run(graphs, batch, compute, replayed)
            exact = expected if compute.dtype == torch.float32 else run_backbone(backbone, batch, None)
        if fault := difference(found, expected, exact, weights, "passes without graphs"):
            return f"{fault}{'' if factor == 1 else ' after the weights have changed'}"
    return ""


@contextlib.contextmanager
def _scaled(parameters: list[torch.nn.Parameter], factor: float) -> Iterator[None]:
    """Weights times a power of two inside the block, which is undone without rounding; no gradients after it."""
    values = [parameter.detach() for parameter in parameters]
    torch._foreach_mul_(values, factor)
    try:
        yield
    finally:
        torch._foreach_mul_(values, 1 / factor)
        for parameter in parameters:
            parameter.grad = None
