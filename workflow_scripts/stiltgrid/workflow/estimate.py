"""What a grid will take, before anything runs: jobs, tokens, GPU hours, disk. Stages that stop early take less.

Tokens follow from the sizes of the data, the settings and the recipes; hours follow from the speed of earlier jobs or
from the configuration's `estimate.tokens_per_second`.
"""

import json
import math
import operator
from collections import Counter
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
from stiltgrid.workflow import estimate_disk
from stiltgrid.workflow.dry_run import PlannedJob

HOUR = 3600
RULES = {"pretrain_backbone": "pretrain", "train_intermediate": "intermediate", "train_target": "target",
         "score_target": "score"}  # fmt: skip
RECORDS = {
    "intermediate": "intermediate/{model}/*/seed*/training.json",
    "target": "tuned/{model}/*/*/seed*/training.json",
    "score": "scores/{model}/*/*/seed*/metrics.json",
}
# With `keep_tuned: false` the records of target training go with the models; both stages train at the same speed.
OTHER_TRAINING = {"target": "intermediate", "intermediate": "target"}


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
    speed: float | None = None
    origin: str = ""

    @property
    def seconds(self) -> float | None:
        """Seconds of all jobs one after another. The speed of scoring is in tokens that are read."""
        if self.speed is None:
            return None
        return (self.work.read if self.stage == "score" else self.work.effort) / self.speed


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


def measured_speed(results: Path, model: str, stage: str) -> float | None:
    """Tokens per second of a model's earlier jobs of a stage, from their records; None where there are none."""
    tokens, seconds = 0.0, 0.0
    if stage == "pretrain":
        path = results / "models" / model / "backbone/pretraining.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            # As the estimate counts them: a step's blocks whole, padding and specials with them.
            tokens = float(found["settings"]["steps"] * found["settings"]["tokens_per_step"])
            seconds = found["seconds"]
    else:
        for path in results.glob(RECORDS[stage].format(model=model)):
            found = json.loads(path.read_text(encoding="utf-8"))
            if stage == "score":
                tokens += found["provenance"]["tokens"]
                seconds += found["provenance"]["seconds"]
                continue
            for each in found["stages"]:
                tokens += Work(each["tokens"], each["dev_tokens"]).effort
                seconds += each["seconds"]
    return tokens / seconds if tokens and seconds else None


def lines(grid: Grid, jobs: Iterable[PlannedJob], sizes: DataSizes, results: Path) -> list[Line]:
    """A line for every model and stage, in the order of a run."""
    found: dict[tuple[str, str], Line] = {}
    for job in jobs:
        if job.rule in RULES:
            key = (job.wildcards["model"], RULES[job.rule])
            line = found.setdefault(key, Line(*key))
            line.jobs += 1
            line.work += job_work(grid, sizes, job)
    given = grid.estimate.get("tokens_per_second", {})
    training = given.get("training")
    speeds = {"score": given.get("scoring", training / FORWARD_SHARE if training else None)}
    for line in found.values():
        line.speed, line.origin = speeds.get(line.stage, training), "given"
        if line.speed is None:
            line.speed, line.origin = measured_speed(results, line.model, line.stage), "measured"
        other = OTHER_TRAINING.get(line.stage)
        if line.speed is None and other is not None:
            line.speed, line.origin = measured_speed(results, line.model, other), f"measured in {other} training"
    order = list(RULES.values())
    return sorted(found.values(), key=lambda line: (list(grid.models).index(line.model), order.index(line.stage)))


def report(grid: Grid, jobs: Sequence[PlannedJob], sizes: DataSizes, results: Path, at_once: int) -> str:
    """The report: jobs by rule, tokens and hours by model and stage, disk, and where the sizes come from."""
    counts = Counter(job.rule for job in jobs)
    found = lines(grid, jobs, sizes, results)
    parts = [_block("jobs", [(name, f"{count:,}") for name, count in counts.items()], f"{len(jobs):,}")]
    rows = [
        (
            f"{line.model}: {line.stage}",
            f"{line.jobs:,} jobs",
            f"{_short(line.work.trained + line.work.read)} tokens",
            f"{_short(line.speed)} a second, {line.origin}" if line.speed else "speed unknown",
            f"{line.seconds / HOUR:.2f} h" if line.seconds is not None else "",
        )
        for line in found
    ]  # fmt: skip
    hours = sum(line.seconds or 0.0 for line in found) / HOUR
    tokens = sum(line.work.trained + line.work.read for line in found)
    parts.append(_table("tokens and hours, one job after the other on one GPU (or on the cores that jobs had)", rows))
    less = "" if all(line.seconds is not None for line in found) else ", without what has no known speed"
    parts.append(f"together {_short(tokens)} tokens, {hours:.2f} hours{less}; early stopping makes it less")
    parts.append("\n".join(_disk(grid, results, at_once)))
    parts.append("\n".join(_certainty(sizes, found)))
    return "\n\n".join(parts) + "\n"


def _disk(grid: Grid, results: Path, at_once: int) -> Iterable[str]:
    counted = estimate_disk.counts(grid, at_once)
    yield f"disk at most, keep_tuned: {str(grid.keep_tuned).lower()}, {at_once} at once (more: snakemake estimate_disk)"
    for name, model in grid.models.items():
        file = results / "models" / name / "backbone/model.safetensors"
        weights = estimate_disk.model_parameters(model.hub, model.pretrain, file)
        if weights is None:
            yield f"  {name}: its size is known once it is fetched"
            continue
        stored = estimate_disk.weight_bytes(grid)
        trained = estimate_disk.adapters(grid, model.hub, model.pretrain, file.parent)
        items = estimate_disk.peak(weights, counted, grid.keep_tuned, stored, trained)
        yield f"  {name}: {estimate_disk.size(sum(item.total for item in items))}"


def _certainty(sizes: DataSizes, found: Iterable[Line]) -> Iterable[str]:
    """Where the sizes of the data come from."""
    meanings = {"encoded": "counted in encoded files", "rows": "from prepared rows, by their characters",
                "source": "from the source's rows, by their characters",
                "given": "given by the configuration"}  # fmt: skip
    by_kind = Counter(size.known for size in sizes.looked_up() if size)
    yield "the data's tokens: " + "; ".join(f"{by_kind[kind]} {text}" for kind, text in meanings.items())
    unknown = sorted({name for line in found for name in line.work.unknown})
    if unknown:
        yield (
            f"unknown, and left out: {', '.join(unknown)}. Prepare the data (snakemake --until encode_train "
            "encode_eval), or say `estimate: {examples: {task: number}}`"
        )


def _block(title: str, rows: Sequence[tuple[str, str]], total: str) -> str:
    return _table(title, [*rows, ("together", total)])


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    return "\n".join(
        [title, *("  " + "  ".join(f.ljust(w) for f, w in zip(row, widths, strict=True)).rstrip() for row in rows)]
    )


def _short(number: float) -> str:
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return f"{number:.0f}"
