"""Checks that several studies share, and lists that default to the grid's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.grid import NONE, Grid, Model
from stiltgrid.utils.errors import nearest


def unknown(key: str, wanted: Iterable[str], valid: Iterable[str], noun: str) -> Iterator[str]:
    """A sentence for each name that is not valid: `key: no such noun 'name', did you mean …`."""
    options = list(valid)
    for name in wanted:
        if name not in options:
            yield f"{key}: no such {noun} '{name}', {nearest(name, options)}"


def target_problems(targets: Iterable[str], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """Targets of a study that are not tasks, or that no head can score."""
    targets = list(targets)
    yield from unknown("targets", targets, names, "task")
    for name in targets:
        card = grid.cards.get(name)
        if card and not card.train and card.family != "embedding":
            yield f"targets: '{name}' has an empty `train`, and a {card.family} task needs a trained head"


def row_problems(key: str, rows: Iterable[str], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """Rows of a study that are neither tasks nor recipes."""
    yield from unknown(key, rows, (NONE, *grid.recipes, *names), "task or recipe")


def own_models(section: Mapping[str, Any]) -> dict[str, Model]:
    """The models that belong to a study only."""
    return {name: Model(name=name, **model) for name, model in section.get("own_models", {}).items()}


def own_model_problems(section: Mapping[str, Any], grid: Grid) -> Iterator[str]:
    """Models of a study under the name of another model of the grid."""
    for name, model in own_models(section).items():
        if grid.models.get(name, model) != model:
            yield f"own_models.{name}: `models` has another model of this name; rename one"


def new_models(section: Mapping[str, Any], grid: Grid) -> dict[str, Model]:
    """The models that a study adds to the grid's."""
    return {name: model for name, model in own_models(section).items() if name not in grid.models}


def chosen(section: Mapping[str, Any], key: str, default: Iterable[Any]) -> tuple[Any, ...]:
    """A list of a study's section, or the grid's where the section has none."""
    return tuple(section.get(key) or default)


def sample_problems(section: Mapping[str, Any], grid: Grid) -> Iterator[str]:
    """A single seed, which shows no variance of training, and a single target, which does not generalise."""
    for key, have, why in (
        ("seeds", grid.seeds, "one shows no variance of training"),
        ("targets", grid.targets, "what one shows holds for that one"),
    ):
        found = chosen(section, key, have)
        if len(found) < 2:
            yield f"{key}: expected two at least, found {', '.join(map(str, found)) or 'none'}; {why}"
