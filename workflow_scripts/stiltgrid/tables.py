"""The one tidy score table, and the transfer tables read from it. Nothing here trains or decodes."""

import csv
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stiltgrid.cards import NONE
from stiltgrid.errors import SourceError
from stiltgrid.files import atomic_path
from stiltgrid.layout import Column, Layout
from stiltgrid.statistics import Estimate, estimate, paired_gain, unweighted_mean

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

COLUMNS = ("model", "intermediate", "target", "language", "split", "seed", "metric", "value", "n")
CELL_KEYS = ("model", "intermediate", "target", "seed")
SCORE_KEYS = ("language", "split", "metric", "value", "n")
SORT_KEYS = ("model", "intermediate", "target", "seed", "split", "metric", "language")
TRANSFER_COLUMNS = (
    "model", "intermediate", "target", "split", "metric", "seeds", "languages", "score", "gain",
    "sd", "gain_sd", "english", "zero_shot", "n",
)  # fmt: skip
LANGUAGE_COLUMNS = (
    "model", "intermediate", "target", "language", "split", "metric", "seeds", "score", "gain", "sd", "gain_sd", "n",
)  # fmt: skip

AnyPath = str | os.PathLike[str]


def collect_scores(metrics_paths: Iterable[AnyPath], out: AnyPath) -> None:
    """Write every number of many `metrics.json` files as one row of `scores.parquet`, sorted.

    Raises SourceError naming the file for missing keys, numbers that are not finite and cells given twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([
        *((name, pa.string()) for name in COLUMNS[:5]),
        ("seed", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
    ])  # fmt: skip
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    seen: dict[tuple[Any, ...], AnyPath] = {}
    for path in sorted(metrics_paths, key=str):
        cell, scores = _read_metrics(path)
        key = tuple(cell[name] for name in CELL_KEYS)
        if key in seen:
            raise SourceError(f"{path}: expected a cell of its own, found that of {seen[key]}: {cell}")
        seen[key] = path
        for name in CELL_KEYS:
            columns[name].extend([cell[name]] * len(scores))
        for name in SCORE_KEYS:
            columns[name].extend(score[name] for score in scores)
    table = pa.table(columns, schema=schema).sort_by([(name, "ascending") for name in SORT_KEYS])
    with atomic_path(out) as temporary:
        pq.write_table(table, temporary)
    log.info("%d numbers of %d cells in %s", table.num_rows, len(seen), out)


def _read_metrics(path: AnyPath) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        content = json.loads(Path(path).read_bytes())
        cell = {name: content["cell"][name] for name in CELL_KEYS}
        scores = [{name: score[name] for name in SCORE_KEYS} for score in content["scores"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path}: expected `cell` with {', '.join(CELL_KEYS)} and `scores` with {', '.join(SCORE_KEYS)}; "
            f"found {type(error).__name__}: {error}"
        ) from error
    names = set()
    for score in scores:
        name = (score["language"], score["split"], score["metric"])
        if not math.isfinite(score["value"]):
            raise SourceError(f"{path}: expected a finite score for {' '.join(name)}, found {score['value']}")
        if name in names:
            raise SourceError(f"{path}: expected one score for {' '.join(name)}, found several")
        names.add(name)
    return cell, scores


@dataclass(frozen=True)
class Cell:
    """Headline numbers of one cell, by seed and language; only seeds that scored every language are here."""

    model: str
    intermediate: str
    column: Column
    values: Mapping[int, Mapping[str, float]]
    examples: Mapping[str, int]

    def by_seed(self, languages: Sequence[str]) -> dict[int, float]:
        """Seed -> unweighted mean over some of the target's languages."""
        return {
            seed: unweighted_mean({language: scores[language] for language in languages})
            for seed, scores in self.values.items()
        }

    @cached_property
    def seed_scores(self) -> dict[int, float]:
        """Seed -> the score: the mean over all languages of the target."""
        return self.by_seed(self.column.languages)

    @property
    def score(self) -> Estimate:
        """Mean over languages, then over seeds."""
        return estimate(self.seed_scores.values())

    @property
    def english(self) -> Estimate | None:
        """The score in English, None where the target has none."""
        return estimate(self.by_seed([self.column.english]).values()) if self.column.english else None

    @property
    def zero_shot(self) -> Estimate | None:
        """The mean over the languages other than English, None where there are none."""
        return estimate(self.by_seed(self.column.others).values()) if self.column.others else None

    def language(self, language: str) -> Estimate:
        """The score in one language."""
        return estimate(self.by_seed([language]).values())


class Transfer:
    """The cells that a layout asks for and the table holds. What is missing is absent, and counted."""

    def __init__(self, layout: Layout, cells: Iterable[Cell], missing: Iterable[str]) -> None:
        self.layout = layout
        self.cells = {(cell.model, cell.intermediate, cell.column.target): cell for cell in cells}
        self.missing = tuple(missing)

    @property
    def expected(self) -> int:
        """How many scores the layout asks for: cells times seeds."""
        layout = self.layout
        return len(layout.models) * len(layout.intermediates) * len(layout.columns) * len(layout.seeds)

    def cell(self, model: str, intermediate: str, target: str) -> Cell | None:
        """A cell, None where it is missing."""
        return self.cells.get((model, intermediate, target))

    def gain(self, cell: Cell, language: str | None = None) -> Estimate | None:
        """Points over the `none` row of the same model and target, paired by seed; None without such a row."""
        baseline = self.cell(cell.model, NONE, cell.column.target)
        if baseline is None:
            return None
        if language is None:
            return paired_gain(cell.seed_scores, baseline.seed_scores)
        return paired_gain(cell.by_seed([language]), baseline.by_seed([language]))

    def __iter__(self) -> Iterator[Cell]:
        """Cells in the layout's order: model, target, intermediate."""
        for model in self.layout.models:
            for column in self.layout.columns:
                for intermediate in self.layout.intermediates:
                    cell = self.cell(model, intermediate, column.target)
                    if cell is not None:
                        yield cell


def read_transfer(scores_path: AnyPath, layout: Layout) -> Transfer:
    """The headline numbers of `scores.parquet` that a layout asks for.

    A seed that lacks a language of its target is left out of its cell and named in `missing`: a mean over
    other languages would not be comparable.
    """
    import pyarrow.parquet as pq

    from stiltgrid.parquet import whole_parquet

    with whole_parquet(scores_path):
        numbers = _numbers(pq.read_table(scores_path, filters=_headline_filters(layout)))
    cells, missing = [], []
    for model, intermediate, column in product(layout.models, layout.intermediates, layout.columns):
        found = numbers.get((model, intermediate, column.target), {})
        lacking = {seed: _lacking(found.get(seed, {}), column) for seed in layout.seeds}
        place = f"{model} / {intermediate} / {column.target}"
        missing += [f"{place} / seed {seed} {lacks}" for seed, lacks in lacking.items() if lacks]
        complete = [seed for seed, lacks in lacking.items() if not lacks]
        if complete:
            values = {seed: {name: found[seed][name][0] for name in column.languages} for seed in complete}
            examples = {name: found[complete[0]][name][1] for name in column.languages}
            cells.append(Cell(model, intermediate, column, values, examples))
    return Transfer(layout, cells, missing)


def _lacking(scores: Mapping[str, Any], column: Column) -> str:
    absent = [language for language in column.languages if language not in scores]
    if not absent:
        return ""
    return f"lacks {', '.join(absent)}" if scores else f"has no {column.metric} on {column.split}"


def _headline_filters(layout: Layout) -> Any:
    import pyarrow.dataset as ds

    field = ds.field
    return reduce(
        or_,
        (
            (field("target") == column.target) & (field("metric") == column.metric) & (field("split") == column.split)
            for column in layout.columns
        ),
    )


def _numbers(table: "pa.Table") -> dict[tuple[str, str, str], dict[int, dict[str, tuple[float, int]]]]:
    numbers: dict[tuple[str, str, str], dict[int, dict[str, tuple[float, int]]]] = {}
    names = ("model", "intermediate", "target", "seed", "language", "value", "n")
    rows = zip(*(table.column(name).to_pylist() for name in names), strict=True)
    for model, intermediate, target, seed, language, value, n in rows:
        numbers.setdefault((model, intermediate, target), {}).setdefault(seed, {})[language] = (value, n)
    return numbers


def write_transfer(scores_path: AnyPath, layout: Layout, transfer_path: AnyPath, by_language_path: AnyPath) -> None:
    """Write `transfer.tsv`, one row a cell, and `transfer_by_language.tsv`, one row a cell and language.

    Scores run from 0 to 100 and gains are differences of them; a field that cannot be known (a standard
    deviation of one seed, a gain without a `none` row, English where a target has none) is empty.
    """
    transfer = read_transfer(scores_path, layout)
    write_tsv(TRANSFER_COLUMNS, (_transfer_row(transfer, cell) for cell in transfer), transfer_path)
    rows = (_language_row(transfer, cell, language) for cell in transfer for language in cell.column.languages)
    write_tsv(LANGUAGE_COLUMNS, rows, by_language_path)
    if transfer.missing:
        log.warning("%d of the grid's scores are missing, the first: %s", len(transfer.missing), transfer.missing[0])


def _transfer_row(transfer: Transfer, cell: Cell) -> dict[str, Any]:
    gain = transfer.gain(cell)
    return {
        **_cell_fields(cell),
        "languages": len(cell.column.languages),
        **_estimates(cell.score, gain),
        "english": _value(cell.english),
        "zero_shot": _value(cell.zero_shot),
        "n": sum(cell.examples.values()),
    }


def _language_row(transfer: Transfer, cell: Cell, language: str) -> dict[str, Any]:
    return {
        **_cell_fields(cell),
        "language": language,
        **_estimates(cell.language(language), transfer.gain(cell, language)),
        "n": cell.examples[language],
    }


def _cell_fields(cell: Cell) -> dict[str, Any]:
    return {
        "model": cell.model,
        "intermediate": cell.intermediate,
        "target": cell.column.target,
        "split": cell.column.split,
        "metric": cell.column.metric,
        "seeds": len(cell.values),
    }


def _estimates(score: Estimate, gain: Estimate | None) -> dict[str, Any]:
    return {"score": score.value, "sd": score.sd, "gain": _value(gain), "gain_sd": gain.sd if gain else None}


def _value(number: Estimate | None) -> float | None:
    return None if number is None else number.value


def write_tsv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: AnyPath) -> None:
    """Write tab-separated rows with a header, atomically; numbers with four decimals, None as an empty field."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_text(row.get(column)) for column in columns])


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{round(value, 4) + 0.0:.4f}" if isinstance(value, float) else str(value)
