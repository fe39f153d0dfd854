"""Rows of CSV and TSV files: a header with column names, one row a record, every cell a text without a type.

Python's csv module reads them: it checks quotes strictly and counts lines. CSV quotes cells that hold the delimiter,
quotes or line ends (RFC 4180). TSV files come in two kinds that no reader can tell apart: IANA's form, where a
quotation mark is a character like any other, and CSV's quotes with tabs, as pandas writes them. A TSV file with a cell
that begins with a quotation mark is therefore refused until the card's `quoting` says which kind it is.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.textfiles import encoding_problem, gzip_problem
from stiltgrid.data.values import Untyped
from stiltgrid.utils.errors import RowError, SourceError

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
LARGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072


@dataclass(frozen=True)
class Dialect:
    """How cells are separated and whether they may be quoted; None where the file's ending decides."""

    delimiter: str | None = None
    quoting: bool | None = None


def delimited_rows(path: Path, shown: str, dialect: Dialect) -> Iterator[RawRow]:
    """Rows of a CSV or TSV file (plain or gzip), with their line numbers.

    Raises SourceError for a file without a usable header and RowError for a record with another number of cells than
    the header, for broken quotes and for bytes that are not UTF-8.
    """
    tabs = ".tsv" in path.suffixes[-2:]
    delimiter = dialect.delimiter or ("\t" if tabs else ",")
    quoted = not tabs if dialect.quoting is None else dialect.quoting
    csv.field_size_limit(LARGEST_CELL)
    with _opened(path, shown) as file:
        style: dict[str, Any] = {"delimiter": delimiter, "strict": True}
        reader = csv.reader(file, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, **style)
        records = _records(reader, shown)
        first = next(records, None)
        if first is None:
            return
        names = _header(first[1], shown, delimiter)
        for number, cells in records:
            place = f"{shown} line {number}"
            if len(cells) != len(names):
                raise RowError(place, f"expected {len(names)} cells as in the header, found {len(cells)}")
            if tabs and dialect.quoting is None and any(cell.startswith('"') for cell in cells):
                raise RowError(
                    place,
                    "a cell begins with a quotation mark, which is either part of the text or a quote around it; "
                    "say which by `quoting: false` or `quoting: true` in the card's `local` or `hub` section",
                )
            yield RawRow({name: Untyped(cell) for name, cell in zip(names, cells, strict=True)}, place)


def _opened(path: Path, shown: str) -> io.TextIOWrapper:
    try:
        binary: Any = gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read ({error})") from error
    return io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")


def _records(reader: Any, shown: str) -> Iterator[tuple[int, list[str]]]:
    """(line number of its first line, cells) of every record that is not a blank line."""
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RowError(f"{shown} line {number}", f"expected cells with whole quotes, found: {error}") from error
        except UnicodeDecodeError as error:
            raise RowError(f"{shown} line {number}", encoding_problem(error)) from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(gzip_problem(shown, number - 1, error)) from error
        if cells:
            yield number, cells


def _header(names: list[str], shown: str, delimiter: str) -> list[str]:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise SourceError(f"{shown}: expected a header of different column names, found '{repeated}' twice")
    other = next((mark for mark in ",;\t|" if mark != delimiter and mark in names[0]), None)
    if len(names) == 1 and other is not None:
        raise SourceError(
            f"{shown}: expected columns separated by {delimiter!r}, found the header {names[0][:60]!r}; if {other!r} "
            f"separates them, set `delimiter: {other!r}` in the card's `local` or `hub` section"
        )
    return names
