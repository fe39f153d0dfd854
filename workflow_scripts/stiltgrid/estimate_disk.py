"""What takes space: the results as they are, and the peak that a grid will need. Pure arithmetic over file sizes."""

import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.cards import NONE, Grid

GIGABYTE = 10**9
# Backbones without heads and poolers, counted from their published configurations.
PUBLISHED = {"FacebookAI/xlm-roberta-base": 277_453_056, "FacebookAI/xlm-roberta-large": 558_840_832}
FLOAT, HALF = 4, 2  # bytes a weight: as fetched and on CPUs; as trained and kept on GPUs
# Float32 copies in a running job's saved state: weights, two moments, best weights; twice while one replaces another.
STATE_COPIES, REPLACING = 4, 2


@dataclass(frozen=True)
class Item:
    """One line of a table: so many files or folders of so many bytes each."""

    name: str
    count: int
    each: int

    @property
    def total(self) -> int:
        """Bytes of all of them."""
        return self.count * self.each


@dataclass(frozen=True)
class Counts:
    """How many checkpoints a grid of one model makes, and how many jobs train at once."""

    rows: int
    tuned: int
    seeds: int
    jobs: int = 1


def counts(grid: Grid, jobs: int) -> Counts:
    """Checkpoints of each model of a grid: rows that are trained, tuned models a row (shared ones once), seeds."""
    trained = {step for name in grid.intermediates if name != NONE for step in grid.chain(name)}
    tuned = {name for target in grid.targets if (name := grid.cards[target].tuned)}
    return Counts(len(trained), len(tuned) * len(grid.intermediates), len(grid.seeds), jobs)


def peak(parameters: int, found: Counts, keep_tuned: bool, weight_bytes: int = HALF) -> list[Item]:
    """What a model of so many parameters will need at the most, largest things first.

    Without `keep_tuned` a tuned model goes when its targets are scored: one a job, and one a job that waits.
    """
    checkpoint, tuned = parameters * weight_bytes, found.tuned * found.seeds
    items = [
        Item(
            "tuned models" if keep_tuned else "tuned models at once",
            tuned if keep_tuned else min(tuned, 2 * found.jobs),
            checkpoint,
        ),
        Item("intermediate models", found.rows * found.seeds, checkpoint),
        Item("backbone as fetched", 1, parameters * FLOAT),
        Item("saved state of running jobs", found.jobs, parameters * FLOAT * STATE_COPIES * REPLACING),
    ]
    return sorted(items, key=lambda item: -item.total)


def model_parameters(hub: str | None, pretrain: Mapping[str, Any] | None, backbone: Path) -> int | None:
    """Weights of a model: from its file where it is here, else from what is known of it; None where nothing is."""
    if backbone.is_file():
        return stored_parameters(backbone)
    if pretrain:
        shape = pretrain["architecture"]
        if {"hidden_size", "num_hidden_layers"} <= shape.keys():
            return encoder_parameters(shape, pretrain["tokenizer"]["vocabulary"], pretrain["sequence_length"])
    return PUBLISHED.get(hub or "")


def encoder_parameters(shape: Mapping[str, Any], vocabulary: int, positions: int) -> int:
    """Weights of a BERT-like encoder (embeddings and layers with their biases and norms)."""
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    inner = shape.get("intermediate_size", 4 * hidden)
    embeddings = (vocabulary + positions + 1 + 2) * hidden
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
    return int(embeddings + layers * layer)


def stored_parameters(path: Path) -> int:
    """Numbers in a safetensors file, read from its header."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            size = 1
            for extent in tensor["shape"]:
                size *= extent
            total += size
    return total


def used(folder: str | os.PathLike[str]) -> list[Item]:
    """What each folder under `results/` takes now, largest first; half-written files of killed jobs apart."""
    sizes: dict[str, list[int]] = {}
    for path in files_below(folder):
        parts = path.relative_to(folder).parts
        name = "half-written, of killed jobs" if any(map(is_partial, parts)) else parts[0]
        sizes.setdefault(name, []).append(path.stat().st_size)
    items = [Item(name, 1, sum(found)) for name, found in sizes.items()]
    return sorted(items, key=lambda item: (-item.total, item.name))


def files_below(folder: str | os.PathLike[str]) -> Iterable[Path]:
    """Every file below a folder; none where it does not exist."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())


def is_partial(name: str) -> bool:
    """Whether a name is one that files carry while they are being written."""
    return name.startswith(".") and name.endswith(".partial")


def table(title: str, items: Iterable[Item]) -> str:
    """Lines of sizes with their sum."""
    items = list(items)
    lines = [title]
    for item in items:
        detail = f"  {item.count} of {size(item.each)}" if item.count != 1 else ""
        lines.append(f"  {item.name:<30}{size(item.total):>12}{detail}")
    lines.append(f"  {'together':<30}{size(sum(item.total for item in items)):>12}")
    return "\n".join(lines)


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    for unit, factor in (("GB", GIGABYTE), ("MB", 10**6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1000:.1f} kB"


def report(grid: Grid, results: Path, jobs: int) -> str:
    """Tables of what is used now and of each model's peak, with and without `keep_tuned`."""
    parts = [table(f"{results}/ now", used(results))]
    found = counts(grid, jobs)
    for name, model in grid.models.items():
        parameters = model_parameters(
            model.hub, model.pretrain, results / "models" / name / "backbone/model.safetensors"
        )
        if parameters is None:
            parts.append(
                f"{name}: its size is known once it is fetched: snakemake results/models/{name}/backbone/config.json"
            )
            continue
        weight_bytes = FLOAT if model.pretrain else HALF
        for keep in (True, False):
            model_size = f"{name}, {parameters / 1e6:.1f} million weights"
            title = f"{model_size}, {jobs} at once, keep_tuned: {str(keep).lower()}, at most"
            parts.append(table(title, peak(parameters, found, keep, weight_bytes)))
    return "\n\n".join(parts) + "\n"
