"""Our scores compared with published figures of the same backbone, split and languages.

`published.yaml` holds the figures with source and certainty; those from memory are never compared. A published row
`best` is the best row of each target and is compared with ours, chosen on dev (see `export_rows`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stiltgrid.analysis.export_rows import BEST, chosen_rows
from stiltgrid.analysis.official import ALL, Languages, averages, exact_matches
from stiltgrid.analysis.statistics import Estimate, estimate
from stiltgrid.analysis.tables import AnyPath, Cell, Transfer, read_transfer, write_tsv
from stiltgrid.grid.benchmarks import benchmarks
from stiltgrid.grid.layout import Layout
from stiltgrid.utils.errors import ConfigError, StiltgridError
from stiltgrid.utils.strict_yaml import read_yaml

FIGURES = Path(__file__).parent / "published.yaml"
CERTAINTIES = {
    "V": "read in the source", "VS": "read, second-hand", "VA": "read, by arithmetic", "M": "from memory",
}  # fmt: skip
READ = ("V", "VS", "VA")
BENCHMARK = "xtreme"
COLUMNS = (
    "model", "hub", "published_row", "intermediate", "target", "language", "split", "metric", "seeds", "ours", "sd",
    "published", "difference", "certainty", "source",
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A published number. `language` None is the mean over the target's XTREME languages."""

    model: str
    intermediate: str
    target: str
    split: str
    metric: str
    value: float
    certainty: str
    source: str
    language: str | None = None


@dataclass(frozen=True)
class PublishedComparison:
    """A published number and ours: the row of the grid, and its mean and standard deviation over seeds."""

    figure: Figure
    model: str
    row: str
    ours: Estimate

    @property
    def difference(self) -> float:
        """Ours less theirs, in points."""
        return self.ours.value - self.figure.value


def read_figures(path: Path = FIGURES) -> list[Figure]:
    """Every published figure; raises ConfigError for one without a known certainty or a source."""
    figures = [Figure(**row) for row in read_yaml(path)["figures"]]
    problems = [
        f"{path.name}: figure {number} ({item.model} {item.target}): certainty '{item.certainty}' and source "
        f"'{item.source}'; expected one of {', '.join(CERTAINTIES)} and a source"
        for number, item in enumerate(figures, start=1)
        if item.certainty not in CERTAINTIES or not item.source
    ]
    if problems:
        raise ConfigError(problems)
    return figures


def write_published(
    scores_path: AnyPath, layout: Layout, hubs: Mapping[str, str | None], languages: Languages, out: AnyPath
) -> None:
    """Write `published.tsv`; it has a header only where no model of the grid has published figures.

    `hubs` maps our models to their hub ids, `languages[task][benchmark]` tasks to official languages.
    """
    rows = (_row(item, hubs) for item in compare(scores_path, layout, hubs, languages))
    write_tsv(COLUMNS, rows, out, synthetic=layout.synthetic)


def compare(
    scores_path: AnyPath,
    layout: Layout,
    hubs: Mapping[str, str | None],
    languages: Languages,
    figures: Sequence[Figure] | None = None,
) -> list[PublishedComparison]:
    """Each figure that was read in a source with our score of the same backbone, split, metric and languages."""
    read = [item for item in (read_figures() if figures is None else figures) if item.certainty in READ]
    found: list[PublishedComparison] = []
    for model in layout.models:
        own = [item for item in read if item.model == hubs.get(model)]
        best = _best(scores_path, layout, model) if any(item.intermediate == BEST for item in own) else {}
        for item in own:
            found += _comparisons(scores_path, layout, model, item, best, languages)
    return found


def _best(scores_path: AnyPath, layout: Layout, model: str) -> dict[str, str]:
    targets = [column.target for column in layout.columns]
    try:
        return chosen_rows(scores_path, layout, model, targets)
    except StiltgridError:
        return {}  # no development scores, so no row of ours corresponds to `best`


def _comparisons(
    scores_path: AnyPath, layout: Layout, model: str, figure: Figure, best: Mapping[str, str], languages: Languages
) -> Iterator[PublishedComparison]:
    if figure.target == ALL:
        yield from _overall(scores_path, layout, model, figure, best, languages)
        return
    if figure.target not in {column.target for column in layout.columns}:
        return
    row = best.get(figure.target) if figure.intermediate == BEST else figure.intermediate
    official = tuple(languages.get(figure.target, {}).get(BENCHMARK, ()))
    wanted = (figure.language,) if figure.language else official
    if row is None or not set(wanted) <= set(layout.column(figure.target).languages):
        return
    column = replace(layout.column(figure.target), split=figure.split, metric=figure.metric, languages=wanted)
    transfer = read_transfer(scores_path, replace(layout, columns=(column,)))
    cell = transfer.cell(model, row, figure.target)
    if cell is not None:
        yield PublishedComparison(figure, model, row, cell.score)


def _overall(
    scores_path: AnyPath, layout: Layout, model: str, figure: Figure, best: Mapping[str, str], languages: Languages
) -> Iterator[PublishedComparison]:
    """The average over all nine tasks, where all are present and complete."""
    headline, exact = read_transfer(scores_path, layout), exact_matches(scores_path, layout)
    row = figure.intermediate
    if row == BEST:
        if not set(benchmarks()[BENCHMARK].tasks) <= set(best):
            return
        headline, exact = _renamed(headline, best), _renamed(exact, best)
    for item in averages(headline, exact, benchmarks()[BENCHMARK], model, row, languages):
        if item.name == ALL and item.complete and item.split == figure.split:
            yield PublishedComparison(figure, model, row, estimate(item.values.values()))


def _renamed(transfer: Transfer, best: Mapping[str, str]) -> Transfer:
    """The table with the best row of each target renamed to BEST."""
    cells: list[Cell] = [
        replace(cell, intermediate=BEST) for cell in transfer if best.get(cell.column.target) == cell.intermediate
    ]
    return Transfer(transfer.layout, cells, ())


def _row(item: PublishedComparison, hubs: Mapping[str, str | None]) -> dict[str, Any]:
    figure = item.figure
    return {
        "model": item.model, "hub": hubs[item.model], "published_row": figure.intermediate, "intermediate": item.row,
        "target": figure.target, "language": figure.language or "mean", "split": figure.split,
        "metric": figure.metric, "seeds": item.ours.n, "ours": item.ours.value, "sd": item.ours.sd,
        "published": figure.value, "difference": item.difference, "certainty": CERTAINTIES[figure.certainty],
        "source": figure.source,
    }  # fmt: skip
