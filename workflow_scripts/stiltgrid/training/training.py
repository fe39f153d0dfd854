"""Training jobs: an intermediate stage on a recipe, or the stages of a target, from a checkpoint to a new one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stiltgrid.grid.grid import Recipe
from stiltgrid.grid.params import as_params, from_params
from stiltgrid.modeling.checkpoints import save_backbone, save_tuned
from stiltgrid.preparation.budgets import draw_budget, refuse_shortfall, share_budget
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.language_task import load_language_task
from stiltgrid.training.resume import StateSaver
from stiltgrid.training.training_data import load_stage_task
from stiltgrid.training.training_run import TrainingRun
from stiltgrid.utils.files import atomic_path


def train_intermediate(
    paths: TrainingPaths,
    job: TrainingJob,
    recipe: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    saver: StateSaver | None = None,
) -> None:
    """Train a row's backbone on its recipe; write it as a Hugging Face folder with its training record.

    `settings` are the row's own (peak learning rate, warm-up, evaluation, `max_steps`), by default those of the first
    task. Each step uses the batch size and learning rate of its task. A recipe with `mlm` also names `text`, the
    encoded rows of raw text, and optionally `head`, the weights of a language model's head. Raises TrainingError for
    a loss that is not finite, SourceError where there are fewer examples than the recipe asks for.
    """
    mix: Recipe = from_params(Recipe, recipe)
    run = TrainingRun(paths, job, settings, saver)
    tasks = [load_stage_task(task, job.seed, run.backbone.max_length) for task in job.tasks]
    refuse_shortfall(mix, {task.card.name: len(task.pool) for task in tasks})
    budget = share_budget([len(task.pool) for task in tasks], mix)
    tasks = [
        replace(task, pool=draw_budget(task.pool, size, job.seed, task.card.name))
        for task, size in zip(tasks, budget, strict=True)
    ]
    if mix.mlm is not None:
        limit, special = run.backbone.max_length, run.reader.special
        head = recipe.get("head")
        tasks.append(load_language_task(mix.mlm, recipe["text"], head, run.settings, special, job.seed, limit))
    run.train(mix.name, tasks, mix, "intermediate")
    if run.group.rank:  # all processes have the same weights; the first writes them
        return
    with atomic_path(paths.out) as folder:
        save_backbone(run.backbone, folder, run.saved_dtype)
        run.write_record(folder, {"intermediate": mix.name, "provenance": as_params(job.provenance)})
    run.saver.remove()


def train_target(paths: TrainingPaths, job: TrainingJob, saver: StateSaver | None = None) -> None:
    """Train a target's stages one after another from an intermediate checkpoint; write backbone and last head.

    A head is kept for the next stage where the family is the same and the shapes match (XCOPA: SIQa, COPA).
    """
    run = TrainingRun(paths, job, None, saver)
    for task in job.tasks:
        stage_task = load_stage_task(task, job.seed, run.backbone.max_length)
        run.settings = stage_task.settings
        run.train(stage_task.card.name, [stage_task], Recipe(stage_task.card.name), "target")
    if run.group.rank:
        return
    with atomic_path(paths.out) as folder:
        save_tuned(run.backbone, run.last_head, folder, run.saved_dtype)
        stages = [stage["name"] for stage in run.stages]
        run.write_record(folder, {"tuned": stages, "provenance": as_params(job.provenance)})
    run.saver.remove()
