"""What a stage trains, and how: the data classes that its loop, evaluations and log share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.grid import TrainingSettings
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.device import Compute
from stiltgrid.training.training_data import StageTask
from stiltgrid.utils.errors import StiltgridError


class TrainingError(StiltgridError):
    """Training cannot continue; the message names stage, step, task and examples."""


@dataclass(frozen=True)
class StagePlan:
    """One stage: its tasks, and in `schedule` (steps,) the number of the task that each step trains.

    `settings` are the stage's own (warm-up, patience, optimizer); each task has a batch size and learning rate.
    """

    name: str
    tasks: Sequence[StageTask]
    schedule: np.ndarray
    settings: TrainingSettings
    seed: int

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole schedule."""
        return len(self.schedule)

    def place(self, step: int, task: StageTask) -> str:
        """Where something happened, for errors and log lines; steps count from 1."""
        return f"stage '{self.name}', step {step} of {self.steps}, task '{task.card.name}'"


@dataclass(frozen=True)
class StageModel:
    """The model of a stage: a backbone, a head for each task by name, how it reads batches, and where it computes."""

    backbone: Backbone
    heads: torch.nn.ModuleDict
    reader: Reader
    compute: Compute
