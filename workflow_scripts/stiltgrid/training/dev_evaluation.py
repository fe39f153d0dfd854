"""Development data of a stage: how often they are looked at and how much of them, and what a look tells."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from stiltgrid.evaluation.prediction import Reader, TokenCount, predict_all
from stiltgrid.grid.grid import TrainingSettings
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.device import Compute
from stiltgrid.training.evaluation_schedule import Looks, epoch_steps, plan_looks
from stiltgrid.training.training_data import StageTask

LOG = logging.getLogger(__name__)


def plan_development(
    name: str, tasks: Sequence[StageTask], schedule: np.ndarray, settings: TrainingSettings
) -> tuple[list[StageTask], Looks]:
    """The tasks of a stage with as many development rows as its `dev_share` allows, and when it looks at them."""
    steps = np.bincount(schedule, minlength=len(tasks))
    trained = sum(
        int(count) * task.settings.batch_size * task.mean_tokens for count, task in zip(steps, tasks, strict=True)
    )
    watched = [task for task in tasks if task.dev is not None]

    def tokens(counts: Sequence[int]) -> float:
        return sum(int(dev_of(task, count).encoded.lengths.sum()) for task, count in zip(watched, counts, strict=True))

    def dev_of(task: StageTask, count: int) -> Any:
        assert task.dev is not None
        return task.dev.fewer(task.family, count)

    longest = max(task.settings.epochs for task in tasks)
    every = settings.evaluate_every or epoch_steps(len(schedule), longest)
    sizes = [task.dev.rows.num_rows for task in tasks if task.dev is not None]
    looks = plan_looks(len(schedule), every, trained, settings.dev_share, sizes, tokens)
    counts = iter(looks.examples)
    found = [task if task.dev is None else replace(task, dev=dev_of(task, next(counts))) for task in tasks]
    if looks.share < looks.asked_share:
        LOG.info(
            "stage '%s': %d looks at %d development examples would take %.1f %% of its computation; "
            "dev_share: %g makes them %d at %d, %.1f %% (null: no limit)",
            *(name, looks.asked, sum(sizes), 100 * looks.asked_share, settings.dev_share),
            *(looks.number, sum(task.dev.rows.num_rows for task in found if task.dev), 100 * looks.share),
        )
    return found, looks


def looks_record(tasks: Sequence[StageTask], looks: Looks) -> dict[str, Any]:
    """What a stage planned, as its record tells it: looks, and rows of each task by name."""
    return {
        "asked": looks.asked,
        "planned": looks.number,
        "dev_rows": {task.card.name: task.dev.rows.num_rows for task in tasks if task.dev is not None},
        "asked_share": round(looks.asked_share, 6),
        "share": round(looks.share, 6),
    }


def dev_score(
    task: StageTask, backbone: Backbone, head: torch.nn.Module, reader: Reader, compute: Compute, count: TokenCount
) -> float:
    """The task's headline metric on its dev set, 0 to 100, averaged over languages; tokens are added to `count`."""
    assert task.dev is not None
    encoded, rows = task.dev.encoded, task.dev.rows
    batch_tokens = task.settings.micro_batch_tokens
    outputs = predict_all(backbone, task.family, task.card, head, encoded, reader, compute, batch_tokens, count)
    predictions = task.family.decode(task.card, outputs, encoded.scalars, rows, {})
    found = task.family.measure(task.card, predictions, rows)
    return float(np.mean([item.value for item in found if item.metric == task.card.metric]))
