"""Files of rows, read one row at a time, each with its place: JSON Lines, CSV, TSV, CoNLL, parquet, tar archives.

Used for local folders and for downloads from the hub. pyarrow is imported only when a parquet file is read.
"""

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources import conll, delimited
from stiltgrid.data.sources.textfiles import decoded, encoding_problem, read_lines
from stiltgrid.data.values import describe, parse_json
from stiltgrid.utils.errors import RowError, SourceError

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet", *delimited.ENDINGS, *conll.ENDINGS)
_JSON = (".jsonl", ".jsonl.gz", ".json", ".json.gz")
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_BATCH = 4096


@dataclass(frozen=True)
class FileFormat:
    """What a card says of its files without types: how CSV and TSV are written, and the columns of CoNLL."""

    dialect: delimited.Dialect = field(default_factory=delimited.Dialect)
    conll: Mapping[str, int] | None = None

    @classmethod
    def of(cls, section: Mapping[str, Any] | None) -> "FileFormat":
        """The format of a card's section: its keys `delimiter`, `quoting` and `conll`."""
        known = section or {}
        return cls(delimited.Dialect(known.get("delimiter"), known.get("quoting")), known.get("conll"))


def read_table(path: Path, shown: str, form: FileFormat | None = None) -> Iterator[RawRow]:
    """Every row of one file. `shown` is the file's name in errors and places ('xnli/test.de.jsonl.gz').

    With `conll` in the format, .tsv files are read as CoNLL too. Raises SourceError for files that are empty, truncated
    or of an unknown format, and RowError with the line number for a line that is not a row.
    """
    form = form or FileFormat()
    if path.name.endswith(".parquet"):
        rows = _parquet_rows(path, shown)
    elif path.name.endswith(_ARCHIVES):
        rows = _archived_rows(path, shown)
    elif path.name.endswith(_JSON):
        rows = _json_rows(path, shown)
    elif path.name.endswith(conll.ENDINGS) or (form.conll and path.name.endswith((".tsv", ".tsv.gz"))):
        rows = conll.conll_rows(path, shown, form.conll)
    elif path.name.endswith(delimited.ENDINGS):
        rows = delimited.delimited_rows(path, shown, form.dialect)
    else:
        raise SourceError(f"{shown}: rows are read from {', '.join(SUFFIXES)}; this file has another format")
    found = False
    for row in rows:
        found = True
        yield row
    if not found:
        raise SourceError(f"{shown}: expected rows, found an empty file")


def _json_rows(path: Path, shown: str) -> Iterator[RawRow]:
    for number, line in read_lines(path, shown):
        place = f"{shown} line {number}"
        yield RawRow(parse_object(line, place), place)


def _archived_rows(path: Path, shown: str) -> Iterator[RawRow]:
    """Rows of the JSON Lines files in an archive, read without unpacking it to disk."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                _refuse_unsafe_member(member, shown)
                file = archive.extractfile(member) if member.name.endswith((".jsonl", ".json")) else None
                for number, line in enumerate(file or (), 1):
                    place = f"{shown} {member.name} line {number}"
                    if text := decoded(line, number).strip():
                        yield RawRow(parse_object(text, place), place)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise SourceError(f"{shown}: tar archive truncated or damaged ({error}); copy or download it again") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{shown}: {encoding_problem(error)}") from error


def _refuse_unsafe_member(member: tarfile.TarInfo, shown: str) -> None:
    """Refuse an archive with members outside its own folder, links or devices."""
    parts = PurePosixPath(member.name.replace("\\", "/")).parts
    if ".." in parts or member.name.startswith(("/", "\\")) or ":" in (parts[0] if parts else ""):
        raise SourceError(f"{shown}: refused, its member '{member.name}' is outside the archive's folder")
    if not (member.isfile() or member.isdir()):
        raise SourceError(f"{shown}: refused, its member '{member.name}' is a link or a device, not a file")


def parse_object(line: str, place: str) -> dict[str, Any]:
    """The JSON object on one line. Raises RowError for anything else."""
    values = parse_json(line, place, "a JSON object")
    if isinstance(values, list):
        raise RowError(place, "expected a JSON object, found a list; write one object a line, without a list around it")
    if not isinstance(values, dict):
        raise RowError(place, f"expected a JSON object, found {describe(values)}")
    return values


def _parquet_rows(path: Path, shown: str) -> Iterator[RawRow]:
    import pyarrow as pa

    from stiltgrid.utils.parquet import open_parquet

    try:
        number = 0
        with open_parquet(path) as file:
            names = file.schema_arrow.names
            repeated = next((name for name in names if names.count(name) > 1), None)
            if repeated is not None:
                raise SourceError(f"{shown}: expected different column names, found '{repeated}' twice")
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(values, f"{shown} row {number}")
    except UnicodeDecodeError as error:
        raise RowError(f"{shown} after row {number}", encoding_problem(error)) from error
    except (pa.ArrowException, OSError) as error:
        problem = f"parquet file truncated or damaged ({error}); copy or download it again"
        raise SourceError(f"{shown}: {problem}") from error
