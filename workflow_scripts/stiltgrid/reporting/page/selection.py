"""The answer of `snakemake select` as the page carries it."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stiltgrid.analysis.study_columns import study_explanation
from stiltgrid.reporting.page.tables import numbers

TABLE = "selection/selection.tsv"


def read_selection(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A line for each target, and one for each of its languages or groups where they were asked for."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    columns = [_column(name, [row[place] for row in rows]) for place, name in enumerate(header)]
    title = "The row chosen for each target"
    return {"file": Path(path).name, "title": title, "rows": len(rows), "columns": columns}


def _column(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """`values` as numbers, None where empty; or `words`, a text each line."""
    found = numbers(texts)
    column = {"name": name, "about": study_explanation(TABLE, name)}
    if found is None:
        return {**column, "words": texts, "values": list(range(len(texts)))}
    return {**column, "decimals": 2 if any("." in text for text in texts) else 0, "values": found}
