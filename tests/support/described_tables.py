"""Compares the tables that a run has written with their descriptions in `tables/README.md`."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

SECTION = re.compile(r"^###? (\S+\.(?:tsv|parquet))$", re.MULTILINE)
# A round of a selection, and the scores of a study, are described once.
SAME = ((re.compile(r"round\d\.tsv$"), "round.tsv"), (re.compile(r"^.*/scores\.parquet$"), "scores.parquet"))


def described(readme: Path) -> dict[str, list[str]]:
    """Table -> its columns in order, as a README describes them."""
    _, *parts = SECTION.split(readme.read_text(encoding="utf-8"))
    found = {}
    for table, text in zip(parts[::2], parts[1::2], strict=True):
        rows = [line for line in text.split("\n#")[0].splitlines() if line.startswith("| `")]
        assert all(re.fullmatch(r"\| `\w+` \| [^|]+ \| [^|]+\. \|", row) for row in rows), rows
        found[table] = [row.split("`")[1] for row in rows]
    return found


def written(folder: Path) -> dict[str, list[str]]:
    """Table -> its columns, of every table below a folder. Every row says that its data is not the mini-lab's."""
    import pyarrow.parquet as pq

    found = {}
    for path in sorted([*folder.glob("*.tsv"), *folder.glob("*.parquet")]):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found[path.name], marks = table.column_names, set(table.column("synthetic").to_pylist())
        else:
            with path.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file, delimiter="\t")
            found[path.name], marks = header, {row[-1] == "True" for row in rows}
            assert header[-1] == "synthetic", path
        assert marks <= {False}, path
    return found


def check_tables(readme: Path, folders: Mapping[str, Path]) -> set[str]:
    """Assert that each table below the folders, by their prefix in the README, has exactly the described columns.

    Returns the tables that there are.
    """
    known = described(readme)
    tables = set()
    for prefix, folder in folders.items():
        for name, columns in written(folder).items():
            table = prefix + name
            for pattern, other in SAME:
                table = pattern.sub(other, table)
            assert known.get(table) == columns, table
            tables.add(table)
    return tables
