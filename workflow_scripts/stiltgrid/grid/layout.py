"""What tables and plots need to know of a grid besides its scores: the order of rows and columns, headline metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.display import Display, display_from_params
from stiltgrid.grid.grid import NONE, Grid
from stiltgrid.grid.params import QUIET

ENGLISH = "en"


@dataclass(frozen=True)
class Column:
    """A target with the metric, split and languages of its headline score.

    `english` is the code of English, the language of training; None where the target is not scored in English.
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
    """The cells that a grid should have, in the order of the configuration."""

    models: tuple[str, ...]
    intermediates: tuple[str, ...]
    columns: tuple[Column, ...]
    seeds: tuple[int, ...]
    synthetic: bool = False
    display: Display = field(default=Display(), metadata=QUIET)

    @property
    def rows(self) -> tuple[str, ...]:
        """The intermediates that have gains: all except `none`."""
        return tuple(name for name in self.intermediates if name != NONE)

    def column(self, target: str) -> Column:
        """The column of a target."""
        return next(column for column in self.columns if column.target == target)

    def only(self, target: str) -> "Layout":
        """The same layout with one column: the part that a plot of one target depends on."""
        columns, display = (self.column(target),), self.display.only(target)
        return Layout(self.models, self.intermediates, columns, self.seeds, self.synthetic, display)

    @property
    def mixed(self) -> bool:
        """Whether targets have different metrics, so that a mean over targets mixes them."""
        return len({column.metric for column in self.columns}) > 1


def shown_layout(grid: Grid) -> Layout:
    """The layout with names for people, which figures and LaTeX tables depend on and other tables do not."""
    return replace(grid_layout(grid), display=grid.display)


def grid_layout(grid: Grid) -> Layout:
    """The layout of a grid under its source."""
    columns = tuple(_column(grid.cards[name], grid.source) for name in grid.targets)
    synthetic = grid.source == "minilab"
    return Layout(grid.own_models, tuple(grid.intermediates), columns, tuple(grid.seeds), synthetic)


def _column(card: TaskCard, source: str) -> Column:
    split = card.headline(source)
    lacking = ((card.source(source) or {}).get("missing") or {}).get(split, ())
    languages = tuple(language for language in card.languages if language not in lacking)
    return Column(card.name, card.metric, split, languages, ENGLISH if ENGLISH in languages else None)


def layout_from_params(params: Mapping[str, Any]) -> Layout:
    """The inverse of `params.as_params(layout)`."""
    columns = tuple(Column(**{**column, "languages": tuple(column["languages"])}) for column in params["columns"])
    return Layout(
        models=tuple(params["models"]),
        intermediates=tuple(params["intermediates"]),
        columns=columns,
        seeds=tuple(params["seeds"]),
        synthetic=bool(params["synthetic"]),
        display=display_from_params(params.get("display")),
    )
