"""The best row of each target, chosen on development data and reported on test data.

The best of ten rows on some examples looks better than it is, because its score is the highest of ten noisy ones (the
winner's curse). A row is therefore chosen on one split and reported on another. A target with a single split is divided
into two halves of examples: the row that each half chooses is scored on the other.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stiltgrid.analysis.bootstrap import DRAWS, Gain, LanguageCounts, gain, replicate
from stiltgrid.analysis.cell_examples import AnyPath, read_examples
from stiltgrid.analysis.metric_counts import CountedMetric, counted_metric
from stiltgrid.analysis.significance import Key, generator_of
from stiltgrid.analysis.statistics import estimate
from stiltgrid.analysis.tables import Cell, Transfer, read_transfer, write_tsv
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.utils.errors import StiltgridError

COLUMNS = (
    "model", "target", "metric", "chosen", "selected_on", "selected_score", "selected_languages", "reported_on",
    "languages", "seeds", "none", "score", "gain", "low", "high", "p", "best_there", "gain_best_there", "remark",
)  # fmt: skip
DEV = "dev"
MEAN = "(mean)"


@dataclass(frozen=True)
class Choice:
    """A row chosen by its mean score on a split (over seeds, and the languages that the split has)."""

    row: str
    split: str
    score: float
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The score of a chosen row on data that did not choose it; `best_there` has the highest score on that data."""

    model: str
    column: Column
    chosen: str
    selected_on: str
    selected_score: float
    selected_languages: int
    reported_on: str
    seeds: int
    none: float
    score: float
    gain: Gain | None
    value: float
    best_there: str
    value_best_there: float
    remark: str = ""


def development(scores_path: AnyPath, layout: Layout) -> Transfer:
    """The development scores of a layout's targets, in the languages that have such a split."""
    from stiltgrid.utils.parquet import read_parquet

    columns = []
    for column in layout.columns:
        rows = [("target", "==", column.target), ("metric", "==", column.metric), ("split", "==", DEV)]
        present = set(read_parquet(scores_path, columns=["language"], filters=rows).column("language").to_pylist())
        languages = tuple(language for language in column.languages if language in present)
        if languages:
            columns.append(replace(column, split=DEV, languages=languages))
    part = replace(layout, columns=tuple(columns))
    return read_transfer(scores_path, part) if columns else Transfer(part, (), ())


def choose(transfer: Transfer, model: str, target: str) -> Choice | None:
    """The row of a target with the highest score in a table, `none` among them; the first wins a tie.

    None where the table has no such target. Rows are compared at the seeds that all of them have.
    """
    if target not in {column.target for column in transfer.layout.columns}:
        return None
    column = transfer.layout.column(target)
    cells = [cell for row in transfer.layout.intermediates if (cell := transfer.cell(model, row, target))]
    seeds = _shared_seeds(cells)
    if not seeds:
        return None
    best = max(cells, key=lambda cell: _mean(cell, seeds))
    return Choice(best.intermediate, column.split, _mean(best, seeds), column.languages)


def check_splits_differ(choice: Choice, reported_on: str, target: str) -> None:
    """StiltgridError where a row would be reported on the examples that chose it."""
    if choice.split == reported_on:
        raise StiltgridError(
            f"target '{target}': row '{choice.row}' was chosen on {choice.split}, so its {choice.split} score cannot "
            "be reported as its gain; choose on dev and report on test, or on halves of the one split"
        )


def write_best_rows(
    scores_path: AnyPath,
    layout: Layout,
    families: Mapping[str, Mapping[str, Any]],
    predictions: Mapping[Key, AnyPath],
    out: AnyPath,
    draws: int = DRAWS,
) -> None:
    """Write `best_rows.tsv`: one line a model and target, and the mean over targets.

    See `significance.write_significance` for `families` and `predictions`.
    """
    reported, developed = read_transfer(scores_path, layout), development(scores_path, layout)
    rows: list[dict[str, Any]] = []
    for model in layout.models:
        reports = [
            report
            for column in layout.columns
            for report in _reports(reported, developed, model, column, families[column.target], predictions, draws)
        ]
        rows += [_row(report) for report in reports]
        if len(reports) > 1:
            rows.append(_mean_row(model, reports))
    write_tsv(COLUMNS, rows, out)


def _reports(
    reported: Transfer,
    developed: Transfer,
    model: str,
    column: Column,
    family: Mapping[str, Any],
    predictions: Mapping[Key, AnyPath],
    draws: int,
) -> Iterator[Report]:
    cells = [cell for row in reported.layout.intermediates if (cell := reported.cell(model, row, column.target))]
    seeds = _shared_seeds(cells)
    if not seeds or cells[0].intermediate != NONE and NONE not in {cell.intermediate for cell in cells}:
        return
    metric = counted_metric(family["family"], column.metric, family.get("options"))
    counts = read_examples(
        [[predictions[model, cell.intermediate, column.target, seed] for seed in seeds] for cell in cells],
        column, metric, [[cell.values[seed] for seed in seeds] for cell in cells],
    )  # fmt: skip
    rows = [cell.intermediate for cell in cells]
    choice = choose(developed, model, column.target) if column.split != DEV else None
    if choice is not None and choice.row in rows:
        yield _on_test(model, column, rows, counts, metric, choice, draws)
    elif (halves := _halves(counts)) is not None:
        yield _on_halves(model, column, rows, halves, metric)


def _on_test(
    model: str,
    column: Column,
    rows: Sequence[str],
    counts: Sequence[LanguageCounts],
    metric: CountedMetric,
    choice: Choice,
    draws: int,
) -> Report:
    check_splits_differ(choice, column.split, column.target)
    replicates = replicate(counts, metric.value, generator_of(model, column.target), draws)
    scores = replicates.scores.mean(axis=(0, 2))
    chosen, none, best = rows.index(choice.row), rows.index(NONE), int(np.argmax(scores))
    found = gain(replicates.difference(chosen, none, range(replicates.scores.shape[2])))
    return Report(
        model, column, choice.row, choice.split, choice.score, len(choice.languages), column.split,
        replicates.scores.shape[2], float(scores[none]), float(scores[chosen]), found, found.value,
        rows[best], float(scores[best] - scores[none]),
        "" if found.includes_training else "one seed: training variance unseen",
    )  # fmt: skip


def _on_halves(
    model: str, column: Column, rows: Sequence[str], halves: Sequence[Sequence[LanguageCounts]], metric: CountedMetric
) -> Report:
    """Each half's best row, scored on the other half; the numbers are means of the two."""
    scores = np.asarray([_scores(half, metric) for half in halves])
    chosen = scores.argmax(axis=1)
    none, seeds = rows.index(NONE), halves[0][0].counts.shape[2]
    reported = scores[[1, 0], chosen]
    baseline, best = scores[:, none].mean(), int(scores.mean(axis=0).argmax())
    return Report(
        model, column, " or ".join(dict.fromkeys(rows[number] for number in chosen)),
        f"half of {column.split}", float(scores[[0, 1], chosen].mean()), len(column.languages),
        f"the other half of {column.split}", seeds, float(baseline), float(reported.mean()), None,
        float(reported.mean() - baseline), rows[best], float(scores.mean(axis=0)[best] - baseline),
        "no second split: two halves choose for each other",
    )  # fmt: skip


def _scores(counts: Sequence[LanguageCounts], metric: CountedMetric) -> np.ndarray:
    """(rows,) means over languages and seeds."""
    found: np.ndarray = np.stack([metric.value(item.counts.sum(axis=0)) for item in counts]).mean(axis=(0, 2))
    return found


def _halves(counts: Sequence[LanguageCounts]) -> list[list[LanguageCounts]] | None:
    """The examples in two halves, parallel ones in the same half; None where a half would lack a language."""
    side = {number: _side(int(number)) for item in counts for number in item.clusters}
    halves = []
    for wanted in (0, 1):
        half = []
        for item in counts:
            mask = np.asarray([side[number] == wanted for number in item.clusters])
            if not mask.any():
                return None
            half.append(LanguageCounts(item.language, item.clusters[mask], item.counts[mask]))
        halves.append(half)
    return halves


def _side(cluster: int) -> int:
    return hashlib.sha256(str(cluster).encode()).digest()[0] % 2


def _shared_seeds(cells: Sequence[Cell]) -> list[int]:
    return sorted(set.intersection(*(set(cell.values) for cell in cells))) if cells else []


def _mean(cell: Cell, seeds: Sequence[int]) -> float:
    return estimate(cell.seed_scores[seed] for seed in seeds).value


def _row(report: Report) -> dict[str, Any]:
    found = report.gain
    return {
        "model": report.model, "target": report.column.target, "metric": report.column.metric,
        "chosen": report.chosen, "selected_on": report.selected_on, "selected_score": report.selected_score,
        "selected_languages": report.selected_languages, "reported_on": report.reported_on,
        "languages": len(report.column.languages), "seeds": report.seeds, "none": report.none,
        "score": report.score, "gain": report.value, "low": found and found.low, "high": found and found.high,
        "p": f"{found.p:.3g}" if found and found.p is not None else None, "best_there": report.best_there,
        "gain_best_there": report.value_best_there, "remark": report.remark,
    }  # fmt: skip


def _mean_row(model: str, reports: Sequence[Report]) -> dict[str, Any]:
    return {
        "model": model, "target": MEAN, "none": estimate(item.none for item in reports).value,
        "score": estimate(item.score for item in reports).value,
        "gain": estimate(item.value for item in reports).value,
        "gain_best_there": estimate(item.value_best_there for item in reports).value,
        "remark": f"over {len(reports)} targets",
    }  # fmt: skip
