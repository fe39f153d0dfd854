"""Read a finished grid in a notebook: scores, tables and predictions as pandas data frames.

Needs pandas and pyarrow, no torch and no Snakemake. No job imports this module, so changing it reruns nothing.
"""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from stiltgrid.utils.errors import SourceError, nearest
from stiltgrid.utils.parquet import read_frame

__all__ = ["list_cells", "read_metrics", "read_predictions", "read_scores", "read_table", "read_transfer"]

AnyPath = str | os.PathLike[str]
SEED = "seed"
# Columns that hold names: text, even where all names look like numbers.
NAMES = ("model", "intermediate", "target", "language", "chosen", "best_there", "name", "group")


def read_scores(results: AnyPath = "results") -> pd.DataFrame:
    """Every number of the grid, one a row: model, intermediate, target, language, split, seed, metric, value, n.

    Scores (`value`) run from 0 to 100; `n` counts examples. Raises SourceError where the grid has no score table yet.
    """
    return read_frame(_existing(Path(results, "tables", "scores.parquet")))


def read_transfer(results: AnyPath = "results", by_language: bool = False) -> pd.DataFrame:
    """Score and gain over `none` of every cell, in points; with `by_language`, of every cell and language.

    Means over seeds, with standard deviations where there are several seeds. Raises SourceError as `read_table` does.
    """
    return read_table("transfer_by_language" if by_language else "transfer", results)


def read_table(name: str, results: AnyPath = "results") -> pd.DataFrame:
    """A table of `results/tables` by its name, such as `significance` or `best_rows`; empty fields are NaN.

    Raises SourceError, with the nearest name, where there is no such table.
    """
    path = Path(results, "tables", f"{name}.tsv")
    if not path.is_file():
        tables = [table.stem for table in path.parent.glob("*.tsv")]
        raise SourceError(f"{path}: no such table; {nearest(name, tables)}" if tables else _absent(path))
    # Only an empty field is missing: `nan` is the code of a language, and `none` is a row.
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], dtype=dict.fromkeys(NAMES, str))


def list_cells(results: AnyPath = "results") -> pd.DataFrame:
    """The cells that are scored: model, intermediate, target, seed; those of studies included, unfinished grids too.

    Raises SourceError where nothing is scored yet.
    """
    folder = Path(results, "scores")
    found = [path.relative_to(folder).parts[:4] for path in folder.glob(f"*/*/*/{SEED}*/metrics.json")]
    if not found:
        raise SourceError(_absent(folder))
    rows = sorted((model, row, target, int(seed.removeprefix(SEED))) for model, row, target, seed in found)
    return pd.DataFrame(rows, columns=["model", "intermediate", "target", SEED])


def read_predictions(results: AnyPath, model: str, intermediate: str, target: str, seed: int) -> pd.DataFrame:
    """Every prediction of a cell: id, language, split, prediction, gold, score, and the columns of its family.

    Raises SourceError, with the nearest name, for a cell that is not scored.
    """
    return read_frame(_cell(results, model, intermediate, target, seed) / "predictions.parquet")


def read_metrics(results: AnyPath, model: str, intermediate: str, target: str, seed: int) -> dict[str, Any]:
    """The scores of a cell with their provenance: card, model, versions, row counts, seconds, tokens.

    Raises SourceError, with the nearest name, for a cell that is not scored.
    """
    path = _existing(_cell(results, model, intermediate, target, seed) / "metrics.json")
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(f"{path}: not a complete JSON file ({error}); delete it and run again") from error
    return metrics


def _cell(results: AnyPath, model: str, intermediate: str, target: str, seed: int) -> Path:
    """The folder of a scored cell; SourceError with the first name that does not exist and the nearest that does."""
    folder = Path(results, "scores")
    if not folder.is_dir():
        raise SourceError(_absent(folder))
    for kind, name in {"model": model, "intermediate": intermediate, "target": target}.items():
        names = [path.name for path in folder.iterdir() if path.is_dir()]
        if name not in names:
            raise SourceError(f"{folder}: no {kind} '{name}' is scored; {nearest(name, names)}")
        folder = folder / name
    seeds = sorted(int(path.name.removeprefix(SEED)) for path in folder.glob(f"{SEED}*"))
    if seed not in seeds:
        raise SourceError(f"{folder}: seed {seed} is not scored; scored: {', '.join(map(str, seeds)) or 'none'}")
    return folder / f"{SEED}{seed}"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise SourceError(_absent(path))
    return path


def _absent(path: Path) -> str:
    return f"{path.absolute()}: nothing there; expected the results of a run (`snakemake --cores 8`)"
