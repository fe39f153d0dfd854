"""Reading `ranking.tsv` where the workflow decides what to train: nothing heavy is imported."""

import csv
import os
from pathlib import Path


def read_ranking(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Model -> tasks, best first."""
    found: dict[str, list[str]] = {}
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in sorted(csv.DictReader(file, delimiter="\t"), key=lambda row: int(row["rank"])):
            found.setdefault(row["model"], []).append(row["task"])
    return found
