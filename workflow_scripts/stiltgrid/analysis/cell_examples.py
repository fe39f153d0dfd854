"""Counts of the examples of a target for every row and seed, aligned by example id."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stiltgrid.analysis.bootstrap import LanguageCounts
from stiltgrid.analysis.metric_counts import CountedMetric
from stiltgrid.grid.layout import Column
from stiltgrid.utils.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE = 1e-6
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class _Cell:
    """One predictions.parquet: example ids, resampling groups and counts, by language."""

    path: AnyPath
    ids: Mapping[str, list[str]]
    groups: Mapping[str, list[str]]
    counts: Mapping[str, np.ndarray]


def read_examples(
    paths: Sequence[Sequence[AnyPath]],
    column: Column,
    metric: CountedMetric,
    scores: Sequence[Sequence[Mapping[str, float]]],
    split: str | None = None,
) -> list[LanguageCounts]:
    """Counts of a target's examples by language, read from the files `paths[row][seed]`.

    `scores[row][seed]` maps each language to its score in the table of scores. Raises SourceError naming the file whose
    predictions do not reproduce these scores, or whose examples differ from those of another row.
    """
    cells = [[_read(path, column, metric, split or column.split) for path in row] for row in paths]
    for row, published in zip(cells, scores, strict=True):
        for cell, values in zip(row, published, strict=True):
            _check_scores(cell, metric, values)
    groups: dict[str, int] = {}
    found = []
    for language in column.languages:
        ids = _common_ids([cell for row in cells for cell in row], language, metric.absent_is_zero)
        names: dict[str, str] = {}
        for cell in (cell for row in cells for cell in row):
            names.update(zip(cell.ids[language], cell.groups[language], strict=True))
        clusters = np.asarray([groups.setdefault(names[name], len(groups)) for name in ids])
        counts = np.stack([np.stack([_aligned(cell, language, ids) for cell in row], axis=1) for row in cells], axis=1)
        found.append(LanguageCounts(language, clusters, counts))
    return found


def _read(path: AnyPath, column: Column, metric: CountedMetric, split: str) -> _Cell:
    import pyarrow.compute as pc

    from stiltgrid.utils.parquet import read_parquet, read_schema

    present = read_schema(path).names
    group = ["group"] if "group" in present else []
    lacking = [name for name in ("id", "language", "split", *metric.columns) if name not in present]
    if lacking:
        raise SourceError(f"{path}: expected columns {', '.join(lacking)}, found {', '.join(present)}")
    names = list(dict.fromkeys(["id", "language", *group, *metric.columns]))
    table = read_parquet(path, columns=names, filters=[("split", "==", split)])
    parts = {code: table.filter(pc.equal(table.column("language"), code)) for code in column.languages}
    ids = {code: part.column("id").to_pylist() for code, part in parts.items()}
    for code, each in ids.items():
        if not each:
            raise SourceError(f"{path}: expected {split} rows in {code}, found none")
        if len(set(each)) < len(each):
            raise SourceError(f"{path}: expected each id once in {code}, found {len(each) - len(set(each))} twice")
    groups = {code: _groups(part, f"{code}-{split}-", bool(group)) for code, part in parts.items()}
    return _Cell(path, ids, groups, {code: metric.counts_of(part) for code, part in parts.items()})


def _groups(part: "pa.Table", prefix: str, named: bool) -> list[str]:
    """What is resampled together: parallel examples, whose ids are the same after `prefix` (language and split)."""
    if named:
        found: list[str] = part.column("group").to_pylist()
        return found
    return [name.removeprefix(prefix) for name in part.column("id").to_pylist()]


def _check_scores(cell: _Cell, metric: CountedMetric, scores: Mapping[str, float]) -> None:
    for language, counts in cell.counts.items():
        value = float(metric.value(counts.sum(axis=0)))
        if abs(value - scores[language]) > TOLERANCE:
            raise SourceError(
                f"{cell.path}: its predictions give {value:.6f} in {language}, the table of scores has "
                f"{scores[language]:.6f}; delete the file, so that the cell is scored again"
            )


def _common_ids(cells: Sequence[_Cell], language: str, union: bool) -> list[str]:
    first = cells[0].ids[language]
    if union:
        return list(dict.fromkeys(name for cell in cells for name in cell.ids[language]))
    wanted = set(first)
    for cell in cells[1:]:
        odd = wanted.symmetric_difference(cell.ids[language])
        if odd:
            raise SourceError(
                f"{cell.path}: expected the examples of {cells[0].path} in {language}, found {len(odd)} that only one "
                f"of them has, such as '{min(odd)}'; rows are compared on the same examples"
            )
    return first


def _aligned(cell: _Cell, language: str, ids: Iterable[str]) -> np.ndarray:
    """Counts in the order of `ids`, zeros where the cell has no row."""
    names, counts = cell.ids[language], cell.counts[language]
    wanted = list(ids)
    if names == wanted:
        return counts
    place = {name: row for row, name in enumerate(names)}
    padded = np.concatenate([counts, np.zeros((1, counts.shape[1]))])
    return padded[[place.get(name, len(names)) for name in wanted]]
