"""What a grid will take, before it runs: tokens of its jobs and their seconds. Stages that stop early take less.

Tokens follow from the sizes of the data, the settings and the recipes; seconds from speeds (`workflow.speeds`).
`workflow.estimate_report` writes them down.
"""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stiltgrid.grid.grid import Grid, Recipe, TrainingSettings
from stiltgrid.grid.paths import TEXT_BATCH, TEXT_LENGTH
from stiltgrid.grid.recipes import row_settings, target_settings, task_settings
from stiltgrid.preparation.budgets import mixing_weights, share_budget
from stiltgrid.preparation.data_sizes import DataSizes, Size
from stiltgrid.training.evaluation_schedule import FORWARD_SHARE, epoch_steps, schedule_evaluations
from stiltgrid.workflow.dry_run import PlannedJob
from stiltgrid.workflow.speeds import CPU, Speed, stage_speed

RULES = {"pretrain_backbone": "pretrain", "train_intermediate": "intermediate", "train_target": "target",
         "score_target": "score"}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """Tokens of a job: those it trains on and those it only reads. `unknown` names data of unknown size."""

    trained: float = 0.0
    read: float = 0.0
    unknown: frozenset[str] = frozenset()

    def __add__(self, other: "Work") -> "Work":
        return Work(self.trained + other.trained, self.read + other.read, self.unknown | other.unknown)

    @property
    def effort(self) -> float:
        """The number of training tokens that take the same time."""
        return self.trained + FORWARD_SHARE * self.read


@dataclass
class Line:
    """All jobs of one stage of a model."""

    model: str
    stage: str
    jobs: int = 0
    work: Work = field(default_factory=Work)
    speed: Speed | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds of all jobs one after another. The speed of scoring is in tokens that are read."""
        if self.speed is None:
            return None
        return (self.work.read if self.stage == "score" else self.work.effort) / self.speed.tokens


def stage_work(tasks: Sequence[tuple[str, Size | None, Size | None, TrainingSettings]], recipe: Recipe,
               own: TrainingSettings) -> Work:  # fmt: skip
    """Tokens of one stage: (name, training data, development data, settings) of its tasks, and the recipe's settings.

    A step takes `batch_size` examples of one task, by the recipe's mixing weights; each evaluation on development
    data reads `dev_examples` of every task, or as many as `dev_share` allows.
    """
    unknown = frozenset(name for name, train, _, _ in tasks if train is None)
    if unknown:
        return Work(unknown=unknown)
    known = [(min(train.examples, settings.examples or train.examples), train, dev, settings)
             for _, train, dev, settings in tasks if train is not None]  # fmt: skip
    counts = share_budget([count for count, *_ in known], recipe)
    cap = recipe.cap or math.inf
    steps = sum(_steps(min(count, cap), item[3]) for count, item in zip(counts, known, strict=True))
    steps = min(steps, own.max_steps or steps)
    text = _text_steps(steps, recipe.mlm)
    weights = mixing_weights(counts, recipe)
    batch = sum(share * item[3].batch_size * item[1].mean for share, item in zip(weights, known, strict=True))
    epochs = max([1.0, *(item[3].epochs for item in known)])
    trained = steps * batch + text * _text_tokens(recipe.mlm)
    sizes = [min(dev.examples, settings.dev_examples or dev.examples) for _, _, dev, settings in known if dev]
    means = [dev.mean for _, _, dev, _ in known if dev]
    every = own.evaluate_every or epoch_steps(steps + text, epochs)
    evaluations = schedule_evaluations(
        steps + text, every, trained, own.dev_share, sizes, lambda counts: sum(map(operator.mul, counts, means))
    )
    return Work(trained, evaluations.number * evaluations.tokens)


def _text_steps(steps: int, mlm: Mapping[str, Any] | None) -> int:
    """Steps of language modelling beside `steps` steps of the tasks."""
    if mlm is None:
        return 0
    rate = mlm.get("rate")
    return int(mlm["steps"]) if rate is None else round(steps * rate / (1 - rate))


def _text_tokens(mlm: Mapping[str, Any] | None) -> int:
    """Tokens of one step of language modelling."""
    return mlm.get("batch_size", TEXT_BATCH) * mlm.get("sequence_length", TEXT_LENGTH) if mlm else 0


def _steps(examples: float, settings: TrainingSettings) -> int:
    steps = max(1, math.ceil(settings.epochs * examples / settings.batch_size - 1e-9))
    return min(steps, settings.max_steps or steps)


def job_work(grid: Grid, sizes: DataSizes, job: PlannedJob) -> Work:
    """Tokens of a job whose rule is in RULES."""
    model = job.wildcards["model"]
    if job.rule == "pretrain_backbone":
        section = grid.models[model].pretrain or {}
        return Work(section["steps"] * section["tokens_per_step"])
    if job.rule == "score_target":
        target = job.wildcards["target"]
        size = sizes.size(model, target, "eval")
        return Work(read=size.tokens) if size else Work(unknown=frozenset({target}))
    folders = _data_folders(job)
    if job.rule == "train_target":
        names = job.wildcards["tuned"].split("+")
        settings = {name: target_settings(grid, job.wildcards["intermediate"], name) for name in names}
        stages = [[(name, folders.get(name, name), settings[name])] for name in names]
        recipes = [(Recipe(name, (name,)), settings[name]) for name in names]
    else:
        row = job.wildcards["intermediate"]
        recipe = grid.recipe(row)
        stages = [[(name, folders.get(name, name), task_settings(grid, row, name)) for name in recipe.tasks]]
        recipes = [(recipe, row_settings(grid, row))]
    total = Work()
    for tasks, (recipe, own) in zip(stages, recipes, strict=True):
        data = [(name, sizes.size(model, folder, "train"), sizes.size(model, folder, "dev"), settings)
                for name, folder, settings in tasks]  # fmt: skip
        total += stage_work(data, recipe, own)
    return total


def _data_folders(job: PlannedJob) -> dict[str, str]:
    """Task -> folder of the encoded data that the job reads: the task's name, or that of a variant."""
    parts = [Path(name).parts for name in job.inputs if name.endswith("/train.arrow")]
    return {part[-2].partition("+")[0]: part[-2] for part in parts}


def lines(grid: Grid, jobs: Iterable[PlannedJob], sizes: DataSizes, results: Path, device: str = CPU) -> list[Line]:
    """A line for every model and stage, in the order of a run on a kind of device."""
    found: dict[tuple[str, str], Line] = {}
    for job in jobs:
        if job.rule in RULES:
            key = (job.wildcards["model"], RULES[job.rule])
            line = found.setdefault(key, Line(*key))
            line.jobs += 1
            line.work += job_work(grid, sizes, job)
    for line in found.values():
        line.speed = stage_speed(grid, results, line.model, line.stage, device)
    order = list(RULES.values())
    return sorted(found.values(), key=lambda line: (list(grid.models).index(line.model), order.index(line.stage)))
