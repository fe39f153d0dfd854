"""Stages built without a job around them, and a family whose dev scores a test writes down."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.grid import Model, Recipe
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.tasks.families.base import Measurement
from stiltgrid.tasks.families.sequence import SequenceClassification
from stiltgrid.training.stage import Stage
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.training.trainable import trainable_part
from stiltgrid.training.training_data import draw_schedule, load_stage_task
from stiltgrid.training.vocabulary_subset import used_ids


class ScriptedScores(SequenceClassification):
    """Has the given dev scores one after another, and keeps a copy of the head at each evaluation."""

    def __init__(self, scores: Iterable[float]) -> None:
        self.scores = iter(scores)
        self.heads: list[dict[str, torch.Tensor]] = []

    def predict(self, card: Any, head: torch.nn.Module, hidden: torch.Tensor, batch: Any) -> Any:
        self.seen = {key: value.clone() for key, value in head.state_dict().items()}
        return super().predict(card, head, hidden, batch)

    def measure(self, card: Any, predictions: Any, rows: Any) -> list[Measurement]:
        self.heads.append(self.seen)
        return [Measurement("en", "dev", "accuracy", next(self.scores), predictions.num_rows)]


def run_stage(
    backbone_folder: Path, tokenizer_folder: Path, params: dict, family: Any = None, subset: bool = True
) -> tuple[Stage, dict[str, torch.Tensor]]:
    """Train a stage of one task; the finished stage, and the weights of the backbone after it.

    `family` replaces the task's own; `subset` False trains the whole embedding table.
    """
    task = load_stage_task(params, seed=1)
    task = task if family is None else replace(task, family=family)
    backbone = load_backbone(backbone_folder)
    reader = Reader(read_special_tokens(tokenizer_folder), Model("tiny", pooling="mean"))
    torch.manual_seed(3)
    heads = torch.nn.ModuleDict({task.card.name: task.build_head(backbone, reader)})
    schedule = draw_schedule([task], Recipe(task.card.name), task.settings.max_steps, seed=1)
    plan = StagePlan("stage", [task], schedule, task.settings, seed=1)
    model = StageModel(backbone, heads, reader, Compute(torch.device("cpu"), torch.float32))
    backbone.enable_packing(model.compute)
    used: np.ndarray | None = used_ids([task.train, task.dev.encoded], reader.special) if subset else None
    with trainable_part(backbone, task.settings, used):
        stage = Stage(plan, model)
        stage.run()
    return stage, {key: value.clone() for key, value in backbone.model.state_dict().items()}
