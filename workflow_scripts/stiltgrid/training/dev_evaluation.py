"""Evaluation on development data during a stage: how often, on how many rows, and the score."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stiltgrid.evaluation.batches import tokens_of_a_pass
from stiltgrid.evaluation.prediction import Predictor, TokenCount, predict_all
from stiltgrid.training.evaluation_schedule import EvaluationSchedule, epoch_steps, schedule_evaluations
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.training.training_data import DevSet, StageTask

LOG = logging.getLogger(__name__)


def schedule_dev_evaluations(plan: StagePlan) -> tuple[list[StageTask], EvaluationSchedule]:
    """The tasks of a stage with as many development rows as its `dev_share` allows, and when it evaluates them."""
    tasks, settings = plan.tasks, plan.settings
    steps = np.bincount(plan.schedule, minlength=len(tasks))
    trained = sum(
        int(count) * task.settings.batch_size * task.mean_tokens for count, task in zip(steps, tasks, strict=True)
    )
    evaluated = [task for task in tasks if task.dev is not None]

    def tokens(counts: Sequence[int]) -> float:
        return sum(
            int(dev_of(task, count).encoded.lengths.sum()) for task, count in zip(evaluated, counts, strict=True)
        )

    def dev_of(task: StageTask, count: int) -> DevSet:
        assert task.dev is not None
        return task.dev.fewer(task.family, count)

    longest = max(task.settings.epochs for task in tasks)
    every = settings.evaluate_every or epoch_steps(plan.steps, longest)
    sizes = [task.dev.rows.num_rows for task in tasks if task.dev is not None]
    schedule = schedule_evaluations(plan.steps, every, trained, settings.dev_share, sizes, tokens)
    counts = iter(schedule.examples)
    found = [task if task.dev is None else replace(task, dev=dev_of(task, next(counts))) for task in tasks]
    if schedule.share < schedule.requested_share:
        LOG.info(
            "stage '%s': %d evaluations of %d development examples would take %.1f %% of its computation; "
            "dev_share: %g reduces them to %d of %d, %.1f %% (null: no limit)",
            *(plan.name, schedule.requested, sum(sizes), 100 * schedule.requested_share, settings.dev_share),
            *(schedule.number, sum(task.dev.rows.num_rows for task in found if task.dev), 100 * schedule.share),
        )
    return found, schedule


def schedule_record(tasks: Sequence[StageTask], schedule: EvaluationSchedule) -> dict[str, Any]:
    """The schedule as the training record states it: numbers of evaluations, and rows of each task by name."""
    return {
        "requested": schedule.requested,
        "planned": schedule.number,
        "dev_rows": {task.card.name: task.dev.rows.num_rows for task in tasks if task.dev is not None},
        "requested_share": round(schedule.requested_share, 6),
        "share": round(schedule.share, 6),
    }


def dev_score(task: StageTask, model: StageModel, count: TokenCount) -> float:
    """The task's main metric on its dev set, 0 to 100, averaged over languages; tokens are added to `count`."""
    assert task.dev is not None
    encoded, rows, head = task.dev.encoded, task.dev.rows, model.heads[task.card.name]
    usual = tokens_of_a_pass(None, model.backbone.hidden_size, model.compute)
    batch_tokens = min(task.settings.micro_batch_tokens, usual)
    predictor = Predictor(model.backbone, head, task.family, task.card, model.reader, model.compute)
    outputs = predict_all(predictor, encoded, batch_tokens, count)
    predictions = task.family.decode(task.card, outputs, encoded.scalars, rows, {})
    found = task.family.measure(task.card, predictions, rows)
    return float(np.mean([item.value for item in found if item.metric == task.card.metric]))
