"""Paths of results, patterns for wildcards, and lengths of sequences.

The rules call these functions while the workflow is parsed and again for every job, so they must be fast.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stiltgrid.grid.architectures import position_limit
from stiltgrid.grid.grid import NONE, Grid, Model, mixture_pattern
from stiltgrid.grid.target_caps import PATTERN, uncapped

RESULTS = "results"
CHECKPOINT = ("config.json", "model.safetensors")
TRAINED = (*CHECKPOINT, "training.json", "log.jsonl")
TEXT_LENGTH, TEXT_BATCH = 128, 32  # of interleaved language modelling: tokens of a row, rows of a step
NEVER = "(?!)"  # a pattern that nothing matches


@dataclass(frozen=True)
class Cell:
    """One cell of the grid, which one job scores in all languages."""

    model: str
    intermediate: str
    target: str
    seed: int

    @property
    def metrics(self) -> str:
        """Path of the cell's scores."""
        return f"{RESULTS}/scores/{self.model}/{self.intermediate}/{self.target}/seed{self.seed}/metrics.json"


def cells(grid: Grid) -> list[Cell]:
    """Every cell of the grid, in the order of the configuration."""
    return [
        Cell(model, intermediate, target, seed)
        for model in grid.own_models
        for intermediate in grid.intermediates
        for target in grid.targets
        for seed in grid.seeds
    ]


def backbone_folder(model: str) -> str:
    """The folder of a backbone's original weights."""
    return f"{RESULTS}/models/{model}/backbone"


def converted_folder(model: str) -> str:
    """The folder of a model whose pickled weights were converted."""
    return f"{RESULTS}/models/{model}/converted"


def intermediate_folder(model: str, intermediate: str, seed: int | str) -> str:
    """The folder of a row's checkpoint; for `none`, which trains nothing, that of the backbone."""
    intermediate = uncapped(intermediate)
    if intermediate == NONE:
        return backbone_folder(model)
    return f"{RESULTS}/intermediate/{model}/{intermediate}/seed{seed}"


def scored_folder(grid: Grid, model: str, intermediate: str, target: str, seed: int | str) -> str:
    """The folder of the checkpoint that a target is scored with: the tuned model, or the row's if it has none."""
    tuned = grid.cards[target].tuned
    if tuned is None:
        return intermediate_folder(model, intermediate, seed)
    return f"{RESULTS}/tuned/{model}/{intermediate}/{tuned}/seed{seed}"


def checkpoint(folder: str) -> list[str]:
    """The files of a checkpoint that a later stage reads."""
    return [f"{folder}/{name}" for name in CHECKPOINT]


def pattern(names: Iterable[str]) -> str:
    """A wildcard constraint that matches exactly these names."""
    return "|".join(sorted(name.replace("+", r"\+").replace(".", r"\.") for name in names)) or NEVER


def trained_rows(grid: Grid, untrained: bool = False) -> str:
    """A wildcard constraint for all rows with an intermediate stage; with `untrained`, for all rows that are scored."""
    names = [name for name in grid.all_intermediates if untrained or name != NONE]
    mixed = sorted({task for plan in grid.plans.values() for task in plan.mixed})
    found = "|".join([pattern(names), *([mixture_pattern(mixed)] if mixed else [])])
    capped = any(uncapped(name) != name for plan in grid.plans.values() for name in plan.intermediates)
    return f"(?:{found})(?:{PATTERN})?" if untrained and capped else found


def tuned_names(grid: Grid) -> list[str]:
    """Names of the tuned models of a row, sorted."""
    return sorted({tuned for name in grid.all_targets if (tuned := grid.cards[name].tuned)})


def sequence_length(grid: Grid, model: Model, task: str) -> int:
    """Longest sequence of a task in tokens: the configuration's, otherwise the card's, at most the model's limit.

    The limit of a downloaded model is unknown here; encoding applies it.
    """
    asked = (grid.training_for(stage, task).max_length for stage in ("intermediate", "target"))
    length = max((number for number in asked if number), default=grid.cards[task].max_length)
    if model.pretrain is None:
        return length
    return min(length, position_limit(model.pretrain["architecture"]) or model.pretrain["sequence_length"])


def text_length(model: Model, mlm: Mapping[str, Any]) -> int:
    """Tokens of a row of raw text: the recipe's, at most the model's limit where that is known already."""
    length: int = mlm.get("sequence_length", TEXT_LENGTH)
    if model.pretrain is None:
        return length
    return min(length, position_limit(model.pretrain["architecture"]) or model.pretrain["sequence_length"])
