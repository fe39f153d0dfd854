r"""Sentences of CoNLL files: one token a line, its annotations in columns, sentences separated by blank lines.

Columns are separated by tabs where a line has one, else by blanks. In CoNLL-U files (.conllu) comments and the lines
of multiword tokens (1-2) and empty nodes (8.1) are not tokens; in all others a line `-DOCSTART-` (CoNLL 2003) is not.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.textfiles import read_lines
from stiltgrid.utils.errors import RowError, SourceError

ENDINGS = (".conll", ".conll.gz", ".conllu", ".conllu.gz")


def conll_rows(path: Path, shown: str, columns: Mapping[str, int] | None) -> Iterator[RawRow]:
    """A row for each sentence: for every name in `columns` the list of its tokens' annotations.

    `columns` gives a column's number, from 1, or from -1 for the last. Raises SourceError without it and RowError for
    a line with fewer columns, or with another number of columns than the line before.
    """
    if not columns:
        raise SourceError(
            f"{shown}: the card must say which columns hold tokens and tags: in its `local` section, for example "
            "`conll: {tokens: 1, tags: 4}` (numbers from 1, or from -1 for the last column)"
        )
    sentence: list[list[str]] = []
    opened = 0
    for number, line in read_lines(path, shown, blank=True):
        if not line.strip(" \t"):
            if sentence:
                yield _row(sentence, columns, f"{shown} line {opened}")
            sentence = []
        elif (cells := _cells(line, ".conllu" in path.suffixes[-2:])) is not None:
            opened = opened if sentence else number
            _check(cells, sentence, columns, f"{shown} line {number}")
            sentence.append(cells)
    if sentence:
        yield _row(sentence, columns, f"{shown} line {opened}")


def _cells(line: str, universal: bool) -> list[str] | None:
    """The columns of a line; None for a line that is not a token."""
    cells = line.split("\t") if "\t" in line else [cell for cell in line.split(" ") if cell]
    if universal:
        return None if line.startswith("#") or not cells[0].isdigit() else cells
    return None if cells[0] == "-DOCSTART-" else cells


def _check(cells: list[str], sentence: list[list[str]], columns: Mapping[str, int], place: str) -> None:
    if sentence and len(cells) != len(sentence[-1]):
        raise RowError(place, f"expected {len(sentence[-1])} columns as in the line before, found {len(cells)}")
    for name, number in columns.items():
        if not 1 <= abs(number) <= len(cells):
            raise RowError(place, f"expected column {number} ('{name}'), found {len(cells)} columns")


def _row(sentence: list[list[str]], columns: Mapping[str, int], place: str) -> RawRow:
    places = {name: number - 1 if number > 0 else number for name, number in columns.items()}
    return RawRow({name: [cells[index] for cells in sentence] for name, index in places.items()}, place)
