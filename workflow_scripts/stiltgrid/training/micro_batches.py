"""The micro-batches of an optimizer step, and what happens when the device runs out of memory."""

import logging

import numpy as np
import torch

from stiltgrid.modeling.planning import PassCost, plan_step
from stiltgrid.training.process_group import ProcessGroup
from stiltgrid.training.stage_plan import StagePlan, TrainingError
from stiltgrid.training.stage_state import LoopState

LOG = logging.getLogger(__name__)


class MicroBatches:
    """Cuts the examples of a step into micro-batches; the stage's state holds a token limit for each task.

    `cost` is the price of a pass by which padded micro-batches are cut; `packed` ones have no padding.
    """

    def __init__(self, plan: StagePlan, state: LoopState, cost: PassCost, packed: bool, group: ProcessGroup) -> None:
        self.plan, self.state, self.cost, self.packed, self.group = plan, state, cost, packed, group

    def of_step(self, which: int, examples: np.ndarray) -> list[np.ndarray]:
        """Sequence numbers of each micro-batch of a whole step of task number `which`."""
        task = self.plan.tasks[which]
        return plan_step(
            task.train,
            task.offsets,
            examples,
            self.state.limits[which],
            self.cost,
            task.family.splits_batches,
            task.family.splits_examples,
            self.packed,
        )

    def of_process(self, which: int, examples: np.ndarray) -> list[np.ndarray]:
        """The micro-batches of this process; the first process has the whole step of a task that cannot be split."""
        task = self.plan.tasks[which]
        if not task.family.splits_batches:
            return self.of_step(which, examples) if self.group.rank == 0 else []
        share = self.group.share(examples, task.train.lengths[task.offsets[examples]])
        return self.of_step(which, share) if len(share) else []

    def shrink(self, which: int, examples: np.ndarray, reason: str) -> None:
        """Lower a task's limit until the same examples fall into more micro-batches; it holds from this step on.

        Raises TrainingError where they cannot be any smaller.
        """
        task, limits = self.plan.tasks[which], self.state.limits
        place = self.plan.place(self.state.step + 1, task)
        tried = len(self.of_step(which, examples))
        while limits[which] > 1 and len(self.of_step(which, examples)) <= tried:
            limits[which] //= 2
        if len(self.of_step(which, examples)) <= tried:
            smallest = "one example" if task.family.splits_batches else "a whole step (lower batch_size)"
            raise TrainingError(
                f"{place}: out of memory ({reason}), and a micro-batch cannot be less than {smallest}; "
                "lower max_length or set gradient_checkpointing: true"
            )
        text = "%s: out of memory; micro_batch_tokens lowered to %d, still %d examples a step (%s)"
        LOG.warning(text, place, limits[which], len(examples), reason)


def out_of_memory_reason(error: torch.OutOfMemoryError) -> str:
    """The first line of PyTorch's message."""
    return str(error).partition("\n")[0]
