"""The log of a stage: losses stay on the device for a while, then many steps are read back, checked and logged."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stiltgrid.training.stage_plan import StagePlan, TrainingError
from stiltgrid.training.stage_state import LoopState
from stiltgrid.utils.logs import publish

LOG_LINES = 1000  # of a stage at most
STEPS_BETWEEN_READS = 25  # on a GPU: reading a number makes the host wait for it


@dataclass(frozen=True)
class Step:
    """One finished step: its task's number, its examples, and `loss_and_norm` (2,) on the device."""

    number: int
    task: int
    examples: np.ndarray
    loss_and_norm: torch.Tensor
    facts: Mapping[str, Any]


class StepLog:
    """Appends log lines to the stage's state. Raises TrainingError for a loss or gradient norm that is not finite."""

    def __init__(self, plan: StagePlan, state: LoopState, read_every: int) -> None:
        self.plan, self.state, self.read_every = plan, state, read_every
        self._pending: deque[Step] = deque()

    def add(self, step: Step) -> None:
        """Take note of a step; reads all pending losses after every `read_every` steps."""
        self._pending.append(step)
        if len(self._pending) >= self.read_every:
            self.read()

    def read(self) -> None:
        """Copy the pending losses from the device in one transfer, check and log them."""
        if not self._pending:
            return
        values = torch.stack([step.loss_and_norm for step in self._pending]).tolist()
        every = max(1, self.plan.steps // LOG_LINES)
        for step, (loss, norm) in zip(self._pending, values, strict=True):
            self._check(step, loss, norm)
            if step.number % every == 0 or step.number == self.plan.steps:
                self.state.log.append(self._line(step, loss, norm))
                publish(self.state.log[-1])
        self._pending.clear()

    def _check(self, step: Step, loss: float, norm: float) -> None:
        task = self.plan.tasks[step.task]
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise TrainingError(
                f"{self.plan.place(step.number, task)}: loss {loss}, gradient norm {norm}; "
                f"examples {', '.join(task.example_ids(step.examples))}"
            )

    def _line(self, step: Step, loss: float, norm: float) -> dict[str, Any]:
        return {
            "stage": self.plan.name,
            "step": step.number,
            "task": self.plan.tasks[step.task].card.name,
            "loss": loss,
            "gradient_norm": norm,
            **step.facts,
            "padding_share": 1 - step.facts["tokens"] / step.facts["computed_tokens"],
        }
