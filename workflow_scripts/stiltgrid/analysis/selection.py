"""The best row of each target, chosen on development data and reported on test data.

The best of ten rows on some examples looks better than it is, because its score is the highest of ten noisy ones (the
winner's curse). A row is therefore chosen on one split and reported on another. Of a target with a single split the row
with the highest score is shown with that score, and beside it an estimate that choosing has not flattered: the
examples are divided into two halves, and the row that each half chooses is scored on the other.

Scores and gains of the chosen row are those of `transfer.tsv`, its interval is that of `significance.tsv`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stiltgrid.analysis.best_rows import BETWEEN
from stiltgrid.analysis.bootstrap import DRAWS, Gain, LanguageCounts
from stiltgrid.analysis.cell_examples import AnyPath, read_examples
from stiltgrid.analysis.metric_counts import CountedMetric, counted_metric
from stiltgrid.analysis.significance import ONE_SEED, Key, compare_target
from stiltgrid.analysis.statistics import estimate
from stiltgrid.analysis.tables import Cell, Transfer, read_transfer, write_tsv
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.utils.errors import StiltgridError

COLUMNS = (
    "model", "target", "metric", "chosen", "selected_on", "selected_score", "selected_languages", "reported_on",
    "languages", "seeds", "none", "score", "gain", "low", "high", "p", "best_there", "gain_best_there",
    "half_split_rows", "half_split_score", "half_split_gain", "remark",
)  # fmt: skip
DEV = "dev"
MEAN = "(mean)"
ONE_SPLIT = "chosen on the scores that are shown, which flatters them: half_split_gain is the fair estimate"


@dataclass(frozen=True)
class Choice:
    """A row chosen by its mean score on a split (over seeds, and the languages that the split has)."""

    row: str
    split: str
    score: float
    languages: tuple[str, ...]


@dataclass(frozen=True)
class HalfSplit:
    """Of a target with one split: what each half of the examples chooses, scored on the other half (means of the two).

    An estimate of score and gain that choosing on the same examples has not flattered.
    """

    rows: tuple[str, ...]
    score: float
    gain: float


@dataclass(frozen=True)
class Report:
    """A chosen row. `test` has the interval of its gain, where other data chose it than it is reported on.

    `best` has the highest score on the reported data.
    """

    chosen: Cell
    choice: Choice
    none: Cell
    gain: float
    test: Gain | None
    best: Cell
    gain_best: float
    half_split: HalfSplit | None = None
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
            if (report := _report(reported, developed, model, column, families[column.target], predictions, draws))
        ]
        rows += [_row(report) for report in reports]
        if len(reports) > 1:
            rows.append(_mean_row(model, reports))
    write_tsv(COLUMNS, rows, out, synthetic=layout.synthetic)


def _report(
    reported: Transfer,
    developed: Transfer,
    model: str,
    column: Column,
    family: Mapping[str, Any],
    predictions: Mapping[Key, AnyPath],
    draws: int,
) -> Report | None:
    """The chosen row of a target; None without `none`, or where the chosen row has no score."""
    cells = [cell for row in reported.layout.intermediates if (cell := reported.cell(model, row, column.target))]
    none = reported.cell(model, NONE, column.target)
    compared = [cell for cell in cells if reported.gain(cell)]
    if none is None or not compared:
        return None
    metric = counted_metric(family["family"], column.metric, family.get("options"))
    best = max(compared, key=lambda cell: cell.score.value)
    choice = choose(developed, model, column.target) if column.split != DEV else None
    if choice is not None:
        check_splits_differ(choice, column.split, column.target)
        chosen = next((cell for cell in compared if cell.intermediate == choice.row), None)
        if chosen is None:
            return None
        tests = {
            item.cell.intermediate: item.gain
            for item in compare_target(reported, model, column, family, predictions, draws)
            if item.language is None
        }
        none_over_itself = Gain(0.0, len(none.values), None, 0.0, None, 0.0, 0.0, 1.0)
        test = tests.get(choice.row, none_over_itself)
        remark = "" if len(chosen.values) > 1 else ONE_SEED
        return _filled(reported, Report(chosen, choice, none, 0.0, test, best, 0.0, None, remark))
    choice = Choice(best.intermediate, column.split, best.score.value, column.languages)
    half_split = _half_split(compared, metric, predictions)
    return _filled(reported, Report(best, choice, none, 0.0, None, best, 0.0, half_split, ONE_SPLIT))


def _filled(transfer: Transfer, report: Report) -> Report:
    gains = [gain.value for cell in (report.chosen, report.best) if (gain := transfer.gain(cell))]
    return replace(report, gain=gains[0], gain_best=gains[1])


def _half_split(cells: Sequence[Cell], metric: CountedMetric, predictions: Mapping[Key, AnyPath]) -> HalfSplit | None:
    """Each half's best row scored on the other, at seeds that all rows have; None where a half lacks a language."""
    seeds, column, model = _shared_seeds(cells), cells[0].column, cells[0].model
    if not seeds:
        return None
    counts = read_examples(
        [[predictions[model, cell.intermediate, column.target, seed] for seed in seeds] for cell in cells],
        column, metric, [[cell.values[seed] for seed in seeds] for cell in cells],
    )  # fmt: skip
    halves = _halves(counts)
    if halves is None:
        return None
    rows = [cell.intermediate for cell in cells]
    scores = np.asarray([_scores(half, metric) for half in halves])
    chosen = scores.argmax(axis=1)
    reported = float(scores[[1, 0], chosen].mean())
    baseline = float(scores[:, rows.index(NONE)].mean())
    return HalfSplit(tuple(dict.fromkeys(rows[number] for number in chosen)), reported, reported - baseline)


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
    column, choice, test, halves = report.chosen.column, report.choice, report.test, report.half_split
    return {
        "model": report.chosen.model, "target": column.target, "metric": column.metric,
        "chosen": choice.row, "selected_on": choice.split, "selected_score": choice.score,
        "selected_languages": len(choice.languages), "reported_on": column.split,
        "languages": len(column.languages), "seeds": len(report.chosen.values), "none": report.none.score.value,
        "score": report.chosen.score.value, "gain": report.gain, "low": test and test.low, "high": test and test.high,
        "p": f"{test.p:.3g}" if test and test.p is not None else None, "best_there": report.best.intermediate,
        "gain_best_there": report.gain_best, "half_split_rows": halves and BETWEEN.join(halves.rows),
        "half_split_score": halves and halves.score, "half_split_gain": halves and halves.gain,
        "remark": report.remark,
    }  # fmt: skip


def _mean_row(model: str, reports: Sequence[Report]) -> dict[str, Any]:
    shared = sum(report.test is None for report in reports)
    flattered = f", {shared} of them chosen on the reported split" if shared else ""
    return {
        "model": model, "target": MEAN, "none": estimate(item.none.score.value for item in reports).value,
        "score": estimate(item.chosen.score.value for item in reports).value,
        "gain": estimate(item.gain for item in reports).value,
        "gain_best_there": estimate(item.gain_best for item in reports).value,
        "remark": f"over {len(reports)} targets{flattered}",
    }  # fmt: skip
