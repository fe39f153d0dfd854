"""The answer of `snakemake select` as the page carries it."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.reporting.page.tables import numbers

MEANINGS: Mapping[str, str] = {
    "model": "The backbone, as named in the configuration.",
    "target": "The column: the task that is scored.",
    "metric": "The target's metric. Points of different metrics are not comparable.",
    "by": "What the line is about: all languages of the target, a language, a language family or a script.",
    "group": "The language, family or script.",
    "languages": "The languages of the line.",
    "chosen": "The row to take.",
    "probability": "Probability from 0 to 1 that no other row is better in a long run of seeds and examples.",
    "regret": "What taking the row is expected to lose against the best one, in points.",
    "second": "The other row that is most probably best.",
    "second_probability": "Its probability of being best, from 0 to 1.",
    "seeds": "Number of seeds of the chosen row that have run.",
    "rows_tried": "Number of rows of which a cell has run.",
    "development_score": "Score of the chosen row on the examples that choose; from 0 to 100.",
    "reported_on": "The split of score and gain; their examples chose nothing.",
    "score": "Score of the chosen row, from 0 to 100. Empty where its cells have not run.",
    "gain": "Score less that of none, in points. Empty where the cells of none have not run.",
    "spent": "Cost of the target's cells, in percent of the grid's.",
    "next": "The cell that would be tried next with more budget.",
    "next_cost": "Cost of that cell, in percent of the grid's.",
    "remark": "What limits the numbers of this line.",
    "synthetic": "Whether the data is the mini-lab's, which is made and says nothing about real languages.",
}


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
    column = {"name": name, "about": MEANINGS[name]}
    if found is None:
        return {**column, "words": texts, "values": list(range(len(texts)))}
    return {**column, "decimals": 2 if any("." in text for text in texts) else 0, "values": found}
