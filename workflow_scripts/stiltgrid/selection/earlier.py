"""Earlier grids, read from tables: `scores.parquet` of any grid of ours, or tab-separated, such as published scores.

A tab-separated table has the columns `model`, `intermediate`, `target` and `score` (0 to 100), and may have `seed` and
`metric`; `transfer.tsv` of a grid is one.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from stiltgrid.grid.layout import Layout
from stiltgrid.selection.prior import EarlierGrid
from stiltgrid.utils.errors import SourceError, nearest

NEEDED = ("model", "intermediate", "target", "score")
Score = tuple[str, str, str, int, float]  # model, row, target, seed, points


def read_earlier(paths: Iterable[Path], layout: Layout) -> list[EarlierGrid]:
    """The models of earlier tables as grids aligned with a layout's targets and rows.

    Raises SourceError for a table without any row and target of the layout, or with a model of the layout: its test
    scores must not choose its rows.
    """
    found: list[EarlierGrid] = []
    for path in paths:
        scores = list(_parquet(path, layout) if path.suffix == ".parquet" else _table(path, layout))
        own = sorted({score[0] for score in scores} & set(layout.models))
        if own:
            raise SourceError(
                f"{path}: holds scores of '{own[0]}', a model of this grid, whose test scores would choose its rows; "
                "leave them out, or rename the model in the configuration where it is another one"
            )
        found += _aligned(path, scores, layout)
    return found


def _aligned(path: Path, scores: Sequence[Score], layout: Layout) -> list[EarlierGrid]:
    targets = {column.target: place for place, column in enumerate(layout.columns)}
    rows = {row: place for place, row in enumerate(layout.intermediates)}
    known = [score for score in scores if score[1] in rows and score[2] in targets]
    if not known:
        raise SourceError(_no_overlap(path, scores, layout))
    seeds = {seed: place for place, seed in enumerate(sorted({score[3] for score in known}))}
    grids: dict[str, np.ndarray] = {}
    for model, row, target, seed, value in known:
        table = grids.setdefault(model, np.full((len(targets), len(rows), len(seeds)), np.nan))
        if not math.isnan(table[targets[target], rows[row], seeds[seed]]):
            raise SourceError(f"{path}: {model} / {row} / {target} / seed {seed}: expected one score, found several")
        table[targets[target], rows[row], seeds[seed]] = value
    return [EarlierGrid(f"{path}: {model}", table) for model, table in grids.items()]


def _no_overlap(path: Path, scores: Sequence[Score], layout: Layout) -> str:
    rows, targets = sorted({score[1] for score in scores}), [column.target for column in layout.columns]
    if not scores:
        return f"{path}: expected scores of the targets {', '.join(targets)} with their metrics, found none"
    odd = next((row for row in rows if row not in layout.intermediates), rows[0])
    return f"{path}: no row and target of this grid is in it; its row '{odd}': {nearest(odd, layout.intermediates)}"


def _parquet(path: Path, layout: Layout) -> Iterable[Score]:
    """Means over the languages that all rows of a target have, on the headline split and metric of this grid."""
    from stiltgrid.utils.parquet import read_frame

    table = read_frame(path)
    lacking = {"model", "intermediate", "target", "language", "split", "seed", "metric", "value"} - set(table.columns)
    if lacking:
        raise SourceError(
            f"{path}: expected the columns of scores.parquet, found none named {', '.join(sorted(lacking))}"
        )
    for column in layout.columns:
        mine = table[
            (table["target"] == column.target) & (table["metric"] == column.metric) & (table["split"] == column.split)
        ]
        for model, part in mine.groupby("model"):
            wide = part.pivot_table(index=["intermediate", "seed"], columns="language", values="value")
            wide = wide.dropna(axis=1)
            if not wide.shape[1]:
                raise SourceError(
                    f"{path}: {model} / {column.target}: expected a language that all rows have, found none"
                )
            for (row, seed), value in wide.mean(axis=1).items():
                yield str(model), str(row), column.target, int(seed), float(value)


def _table(path: Path, layout: Layout) -> Iterable[Score]:
    """The lines of a tab-separated table; those with another metric than the target's are of no use and left out."""
    import csv

    metrics = {column.target: column.metric for column in layout.columns}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        lacking = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if lacking:
            raise SourceError(
                f"{path}: expected the columns {', '.join(NEEDED)}, found none named {', '.join(lacking)}"
            )
        for number, line in enumerate(reader, start=2):
            try:
                score, seed = float(line["score"]), int(line.get("seed") or 0)
            except ValueError:
                raise SourceError(f"{path}, line {number}: expected a number, found '{line['score']}'") from None
            if not math.isfinite(score):
                raise SourceError(f"{path}, line {number}: expected a finite score, found {score}")
            if line.get("metric") and line["metric"] != metrics.get(line["target"], line["metric"]):
                continue
            yield line["model"], line["intermediate"], line["target"], seed, score
