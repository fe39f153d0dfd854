"""The tidy score table, and the transfer tables computed from it."""

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from stiltgrid.analysis.shown import table_number
from stiltgrid.analysis.statistics import Estimate, estimate, paired_gain, unweighted_mean
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path

log = logging.getLogger(__name__)

SYNTHETIC = "synthetic"  # the last column of every table: whether its data is the mini-lab's
COLUMNS = ("model", "intermediate", "target", "language", "split", "seed", "metric", "value", "n", SYNTHETIC)
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


def collect_scores(metrics_paths: Iterable[AnyPath], out: AnyPath, *, synthetic: bool) -> None:
    """Write every score of many `metrics.json` files as a row of `scores.parquet`, sorted.

    `synthetic` says in every row whether the data is the mini-lab's.

    Raises SourceError naming the file for missing keys, scores that are not finite and cells that occur twice.
    """
    import pandas as pd
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    seen: dict[tuple[Any, ...], AnyPath] = {}
    for path in sorted(metrics_paths, key=str):
        cell, scores = _read_metrics(path)
        key = tuple(cell.values())
        if key in seen:
            raise SourceError(f"{path}: expected every cell once, found the cell of {seen[key]} again: {cell}")
        seen[key] = path
        rows += [{**cell, **score, SYNTHETIC: synthetic} for score in scores]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(list(SORT_KEYS))
    types = {"seed": pa.int64(), "value": pa.float64(), "n": pa.int64(), SYNTHETIC: pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    with atomic_path(out) as temporary:
        table.to_parquet(temporary, index=False, schema=schema, write_page_checksum=True)
    log.info("%d numbers of %d cells in %s", len(table), len(seen), out)


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
    """Headline scores of one cell, by seed and language; seeds that lack a language are left out."""

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
    """The cells of a layout that the table of scores has; `missing` lists the others."""

    def __init__(self, layout: Layout, cells: Iterable[Cell], missing: Iterable[str]) -> None:
        self.layout = layout
        self.cells = {(cell.model, cell.intermediate, cell.column.target): cell for cell in cells}
        self.missing = tuple(missing)

    @property
    def expected(self) -> int:
        """The number of scores of a complete layout: cells times seeds."""
        layout = self.layout
        return len(layout.models) * len(layout.intermediates) * len(layout.columns) * len(layout.seeds)

    def cell(self, model: str, intermediate: str, target: str) -> Cell | None:
        """A cell, None where it is missing."""
        return self.cells.get((model, intermediate, target))

    def gain(self, cell: Cell, language: str | None = None) -> Estimate | None:
        """Gain in points over `none` of the same model and target, paired by seed; None without a `none` cell."""
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
    """The headline scores of a layout, read from `scores.parquet`.

    A seed that lacks a language of its target is left out of its cell and listed in `missing`: a mean over other
    languages would not be comparable.
    """
    from stiltgrid.utils.parquet import read_frame

    headline = [
        [("target", "==", column.target), ("metric", "==", column.metric), ("split", "==", column.split)]
        for column in layout.columns
    ]
    table = read_frame(scores_path, filters=headline).set_index([*CELL_KEYS, "language"])
    values, examples = table["value"].to_dict(), table["n"].to_dict()
    cells, missing = [], []
    for model, intermediate, column in product(layout.models, layout.intermediates, layout.columns):
        place, names = (model, intermediate, column.target), column.languages
        lacking = {seed: [name for name in names if (*place, seed, name) not in values] for seed in layout.seeds}
        missing += [
            f"{' / '.join(place)} / seed {seed} {_lacks(some, column)}" for seed, some in lacking.items() if some
        ]
        complete = [seed for seed, some in lacking.items() if not some]
        if complete:
            scores = {seed: {name: values[*place, seed, name] for name in names} for seed in complete}
            counts = {name: examples[*place, complete[0], name] for name in names}
            cells.append(Cell(model, intermediate, column, scores, counts))
    return Transfer(layout, cells, missing)


def _lacks(languages: Sequence[str], column: Column) -> str:
    everything = len(languages) == len(column.languages)
    return f"has no {column.metric} on {column.split}" if everything else f"lacks {', '.join(languages)}"


def write_transfer(scores_path: AnyPath, layout: Layout, transfer_path: AnyPath, by_language_path: AnyPath) -> None:
    """Write `transfer.tsv`, one row per cell, and `transfer_by_language.tsv`, one row per cell and language.

    Scores run from 0 to 100 and gains are differences of scores. A field without a value is empty: the standard
    deviation of one seed, a gain without `none`, English where a target has none.
    """
    transfer = read_transfer(scores_path, layout)
    cells = (_transfer_row(transfer, cell) for cell in transfer)
    write_tsv(TRANSFER_COLUMNS, cells, transfer_path, synthetic=layout.synthetic)
    rows = (_language_row(transfer, cell, language) for cell in transfer for language in cell.column.languages)
    write_tsv(LANGUAGE_COLUMNS, rows, by_language_path, synthetic=layout.synthetic)
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


def write_tsv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: AnyPath, *, synthetic: bool) -> None:
    """Write tab-separated rows with a header, atomically; numbers with four decimals, None as an empty field.

    A last column, SYNTHETIC, says in every row whether the numbers come from the mini-lab's data.
    """
    import pandas as pd

    # Objects, not numbers: pandas would turn whole numbers beside an empty field into floats.
    marked = ({**row, SYNTHETIC: synthetic} for row in rows)
    table = pd.DataFrame(list(marked), columns=[*columns, SYNTHETIC], dtype=object).map(_text, na_action="ignore")
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, lineterminator="\n")


def _text(value: Any) -> str:
    return table_number(value) if isinstance(value, float) else str(value)
