"""What tables and plots must know of a grid beside its scores: order, headline numbers, honest labels. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import NONE, Grid

ENGLISH = "en"


@dataclass(frozen=True)
class Column:
    """A target: which metric and split make its headline score, averaged over which languages.

    `english` is the code of the language of training among them; None where the target has no English part.
    """

    target: str
    metric: str
    split: str
    languages: tuple[str, ...]
    english: str | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """The languages that are scored zero-shot."""
        return tuple(language for language in self.languages if language != self.english)


@dataclass(frozen=True)
class Layout:
    """The cells that a grid should have, in the order in which a reader expects them."""

    models: tuple[str, ...]
    intermediates: tuple[str, ...]
    columns: tuple[Column, ...]
    seeds: tuple[int, ...]
    synthetic: bool = False

    @property
    def rows(self) -> tuple[str, ...]:
        """The intermediates whose gain can be shown: all but `none`."""
        return tuple(name for name in self.intermediates if name != NONE)

    def column(self, target: str) -> Column:
        """The column of a target."""
        return next(column for column in self.columns if column.target == target)

    def part(self, target: str) -> "Layout":
        """The same layout with one column only: what a plot of one target depends on."""
        return Layout(self.models, self.intermediates, (self.column(target),), self.seeds, self.synthetic)


def grid_layout(grid: Grid, headline_split: Callable[[TaskCard], str]) -> Layout:
    """The layout of a grid; `headline_split` says which split of a card is reported under its source."""
    columns = tuple(_column(grid.cards[name], grid.source, headline_split(grid.cards[name])) for name in grid.targets)
    synthetic = grid.source == "minilab"
    return Layout(grid.own_models, tuple(grid.intermediates), columns, tuple(grid.seeds), synthetic)


def _column(card: TaskCard, source: str, split: str) -> Column:
    lacking = ((card.source(source) or {}).get("missing") or {}).get(split, ())
    languages = tuple(language for language in card.languages if language not in lacking)
    return Column(card.name, card.metric, split, languages, ENGLISH if ENGLISH in languages else None)


def layout_from_params(params: Mapping[str, Any]) -> Layout:
    """The inverse of `cards.as_params(layout)`."""
    columns = tuple(Column(**{**column, "languages": tuple(column["languages"])}) for column in params["columns"])
    return Layout(
        models=tuple(params["models"]),
        intermediates=tuple(params["intermediates"]),
        columns=columns,
        seeds=tuple(params["seeds"]),
        synthetic=bool(params["synthetic"]),
    )
