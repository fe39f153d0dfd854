"""Example budgets: how many examples of each task a row of the grid trains on, and which ones, drawn by seed."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stiltgrid.grid.grid import Recipe
from stiltgrid.grid.params import from_params
from stiltgrid.grid.recipes import budget_problems
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import write_json
from stiltgrid.utils.parquet import count_rows
from stiltgrid.utils.seeding import derive_seed


def count_examples(recipe: Mapping[str, Any], paths: Sequence[str], out: str | os.PathLike[str]) -> None:
    """Write the number of training rows of each task of a recipe.

    Raises SourceError where the recipe asks for more examples than there are.
    """
    mix: Recipe = from_params(Recipe, recipe)
    counts = {}
    for task, path in zip(mix.tasks, paths, strict=True):
        counts[task] = count_rows(path)
    refuse_shortfall(mix, counts)
    write_json(counts, out)


def refuse_shortfall(recipe: Recipe, counts: Mapping[str, int]) -> None:
    """Raise SourceError where a recipe asks for more examples than there are and may not repeat any."""
    problems = budget_problems(recipe, counts)
    if problems:
        raise SourceError(f"row '{recipe.name}': {'; '.join(problems)}")


def mixing_weights(sizes: Sequence[int], recipe: Recipe) -> np.ndarray:
    """Sampling probability of each task at each step (Raffel et al. 2020, section 3.5.2)."""
    counts = np.asarray(sizes, dtype=np.float64)
    if recipe.cap is not None:
        counts = np.minimum(counts, recipe.cap)
    exponents = {"proportional": 1.0, "temperature": 1.0 / recipe.temperature, "uniform": 0.0}
    weights = counts ** exponents[recipe.sampling]
    return weights / weights.sum()


def share_budget(sizes: Sequence[int], recipe: Recipe) -> list[int]:
    """Number of examples of each task under the recipe's `examples`: given by task, or a total split by mixing weights.

    Without `upsample` no task contributes more than it has; the rest is divided among the others.
    """
    if isinstance(recipe.examples, Mapping):
        return [recipe.examples.get(task, size) for task, size in zip(recipe.tasks, sizes, strict=True)]
    if recipe.examples is None:
        return list(sizes)
    if recipe.upsample:
        return _apportioned(recipe.examples, mixing_weights(sizes, recipe))
    if recipe.examples >= sum(sizes):
        return list(sizes)
    weights, given = mixing_weights(sizes, recipe), np.zeros(len(sizes), dtype=np.int64)
    room = np.asarray(sizes, dtype=np.int64)
    while given.sum() < recipe.examples:
        open_weights = np.where(given < room, weights, 0.0)
        left = recipe.examples - int(given.sum())
        wish = left * open_weights / open_weights.sum()
        extra = np.minimum(np.floor(wish).astype(np.int64), room - given)
        if not extra.any():
            extra[np.argsort(-(wish * (given < room)), kind="stable")[:left]] = 1
            extra = np.minimum(extra, room - given)
        given += extra
    return [int(number) for number in given]


def _apportioned(total: int, weights: np.ndarray) -> list[int]:
    """A total divided by weights into whole numbers (largest remainder method), at least one each."""
    wish = total * weights
    shares = np.floor(wish).astype(np.int64)
    shares[np.argsort(shares - wish, kind="stable")[: total - int(shares.sum())]] += 1
    return [max(1, int(number)) for number in shares]


def draw_budget(pool: np.ndarray, size: int, seed: int, task: str) -> np.ndarray:
    """`size` example numbers of a pool, drawn by seed, ascending; a smaller draw is a subset of a larger one.

    Where `size` exceeds the pool, the numbers of repetitions differ by at most one.
    """
    if size == len(pool):
        return pool
    order = np.random.default_rng(derive_seed(seed, "budget", task)).permutation(len(pool))
    return pool[np.sort(np.resize(order, size))]


def draw_examples(count: int, wanted: int | None, seed: int) -> np.ndarray:
    """`wanted` example numbers (all where None or too many), drawn by seed, ascending."""
    if wanted is None or wanted >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:wanted])
