"""Disk space: what the results take now, and the most that a grid will need, from sizes of files and models."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.grid.grid import NONE, Grid, TrainingSettings
from stiltgrid.grid.recipes import row_settings, task_settings
from stiltgrid.utils.checksums import weights_header

GIGABYTE = 10**9
# Backbones without heads and poolers, counted from their published configurations.
PUBLISHED = {"FacebookAI/xlm-roberta-base": 277_453_056, "FacebookAI/xlm-roberta-large": 558_840_832}
SHAPES: Mapping[str, Mapping[str, int]] = {
    "FacebookAI/xlm-roberta-base": {"hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072},
    "FacebookAI/xlm-roberta-large": {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096},
}
FLOAT, HALF = 4, 2  # bytes a weight: as fetched and as trained; with `checkpoint_precision: bf16`
# Float32 copies in a running job's saved state: weights, two moments, best weights; twice while one replaces another.
STATE_COPIES, REPLACING = 4, 2


@dataclass(frozen=True)
class Item:
    """One line of a table: a number of files or folders and the bytes of each."""

    name: str
    count: int
    each: int

    @property
    def total(self) -> int:
        """Bytes of all files or folders."""
        return self.count * self.each


@dataclass(frozen=True)
class Counts:
    """The number of checkpoints of a grid with one model, and of jobs that train at a time."""

    rows: int
    tuned: int
    seeds: int
    jobs: int = 1


def counts(grid: Grid, jobs: int) -> Counts:
    """Checkpoints of each model of a grid: trained rows, and tuned models (those that targets share counted once)."""
    tuned = {name for target in grid.targets if (name := grid.cards[target].tuned)}
    return Counts(len(_trained_rows(grid)), len(tuned) * len(grid.intermediates), len(grid.seeds), jobs)


@dataclass(frozen=True)
class WeightBytes:
    """Bytes per weight in intermediate and in tuned checkpoints."""

    intermediate: int = FLOAT
    tuned: int = FLOAT


def weight_bytes(grid: Grid) -> WeightBytes:
    """The most bytes per weight, from the settings `checkpoint_precision` of all stages."""
    rows = [row_settings(grid, row) for row in _trained_rows(grid)]
    last = [grid.cards[target].train[-1] for target in grid.targets if grid.cards[target].train]
    tuned = [grid.training_for("target", task) for task in last]
    return WeightBytes(*(_most(settings) for settings in (rows, tuned)))


def _most(settings: Iterable[TrainingSettings]) -> int:
    return HALF if all(item.checkpoint_precision == "bf16" for item in settings) else FLOAT


def peak(
    parameters: int, found: Counts, keep_tuned: bool, stored: WeightBytes | None = None, trained: int | None = None
) -> list[Item]:
    """The most space that a model with this many parameters will need, largest items first.

    `trained` parameters are in the state of a running job (default: all; few where low-rank adapters are trained).
    Without `keep_tuned` a tuned model is deleted once its targets are scored: a job has one, and one waits.
    """
    stored, tuned = stored or WeightBytes(), found.tuned * found.seeds
    state = parameters if trained is None else trained
    items = [
        Item(
            "tuned models" if keep_tuned else "tuned models at once",
            tuned if keep_tuned else min(tuned, 2 * found.jobs),
            parameters * stored.tuned,
        ),
        Item("intermediate models", found.rows * found.seeds, parameters * stored.intermediate),
        Item("backbone as fetched", 1, parameters * FLOAT),
        Item("saved state of running jobs", found.jobs, state * FLOAT * STATE_COPIES * REPLACING),
    ]
    return sorted(items, key=lambda item: -item.total)


def adapters(grid: Grid, hub: str | None, pretrain: Mapping[str, Any] | None, folder: Path) -> int | None:
    """Parameters in a running job's state where only low-rank adapters are trained; None where the model is trained.

    An upper bound: adapters on every matrix of every layer. For models that are pretrained here it is the whole model.
    """
    ranks = [0 if settings.lora is None else int(settings.lora["rank"]) for settings in _trainings(grid)]
    if pretrain or not ranks or not all(ranks):
        return None
    file = folder / "config.json"
    shape = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else SHAPES.get(hub or "", {})
    if not {"hidden_size", "num_hidden_layers", "intermediate_size"} <= shape.keys():
        return None
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    return int(max(ranks) * shape["num_hidden_layers"] * (4 * 2 * hidden + 2 * (hidden + inner)))


def _trained_rows(grid: Grid) -> set[str]:
    return {step for name in grid.intermediates if name != NONE for step in grid.chain(name)}


def _trainings(grid: Grid) -> Iterable[TrainingSettings]:
    """Settings of every training of a grid; the default settings for rows of language modelling alone."""
    for row in _trained_rows(grid):
        if grid.recipe(row).mlm is not None:
            yield TrainingSettings()
        yield from (task_settings(grid, row, task) for task in grid.recipe(row).tasks)
    for target in grid.targets:
        yield from (grid.training_for("target", task) for task in grid.cards[target].train)


def model_parameters(hub: str | None, pretrain: Mapping[str, Any] | None, backbone: Path) -> int | None:
    """Parameters of a model, from its file, else from its architecture or its name; None where neither is known."""
    if backbone.is_file():
        return stored_parameters(backbone)
    if pretrain:
        shape = pretrain["architecture"]
        if {"hidden_size", "num_hidden_layers"} <= shape.keys():
            return encoder_parameters(shape, pretrain["tokenizer"]["vocabulary"], pretrain["sequence_length"])
    return PUBLISHED.get(hub or "")


def encoder_parameters(shape: Mapping[str, Any], vocabulary: int, positions: int) -> int:
    """Parameters of a BERT-like encoder: embeddings, and layers with their biases and norms."""
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    inner = shape.get("intermediate_size", 4 * hidden)
    embeddings = (vocabulary + positions + 1 + 2) * hidden
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
    return int(embeddings + layers * layer)


def stored_parameters(path: Path) -> int:
    """The number of parameters in a safetensors file, read from its header."""
    total = 0
    for name, tensor in weights_header(path).items():
        if name != "__metadata__":
            size = 1
            for extent in tensor["shape"]:
                size *= extent
            total += size
    return total


def used(folder: str | os.PathLike[str]) -> list[Item]:
    """What each folder under `results/` takes now, largest first, and half-written files of killed jobs."""
    sizes: dict[str, list[int]] = {}
    for path in files_below(folder):
        parts = path.relative_to(folder).parts
        name = "half-written, of killed jobs" if any(map(is_partial, parts)) else parts[0]
        sizes.setdefault(name, []).append(path.stat().st_size)
    items = [Item(name, 1, sum(found)) for name, found in sizes.items()]
    return sorted(items, key=lambda item: (-item.total, item.name))


def files_below(folder: str | os.PathLike[str]) -> Iterable[Path]:
    """All files below a folder; none where it does not exist."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())


def is_partial(name: str) -> bool:
    """Whether a name is a temporary one, of files that are being written."""
    return name.startswith(".") and name.endswith(".partial")


def table(title: str, items: Iterable[Item]) -> str:
    """Lines of sizes, and their sum."""
    items = list(items)
    lines = [title]
    for item in items:
        detail = f"  {item.count} of {size(item.each)}" if item.count != 1 else ""
        lines.append(f"  {item.name:<30}{size(item.total):>12}{detail}")
    lines.append(f"  {'together':<30}{size(sum(item.total for item in items)):>12}")
    return "\n".join(lines)


def size(count: int) -> str:
    """A number of bytes in a suitable unit."""
    for unit, factor in (("GB", GIGABYTE), ("MB", 10**6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1000:.1f} kB"


def report(grid: Grid, results: Path, jobs: int) -> str:
    """Tables of what is used now and of each model's peak, with and without `keep_tuned`."""
    parts = [table(f"{results}/ now", used(results))]
    found, stored = counts(grid, jobs), weight_bytes(grid)
    for name, model in grid.models.items():
        parameters = model_parameters(
            model.hub, model.pretrain, results / "models" / name / "backbone/model.safetensors"
        )
        if parameters is None:
            parts.append(
                f"{name}: its size is known once it is fetched: snakemake results/models/{name}/backbone/config.json"
            )
            continue
        for keep in (True, False):
            model_size = f"{name}, {parameters / 1e6:.1f} million weights"
            title = f"{model_size}, {jobs} at once, keep_tuned: {str(keep).lower()}, at most"
            trained = adapters(grid, model.hub, model.pretrain, results / "models" / name / "backbone")
            parts.append(table(title, peak(parameters, found, keep, stored, trained)))
    return "\n\n".join(parts) + "\n"
