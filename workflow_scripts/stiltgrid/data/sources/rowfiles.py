"""Files of rows, read lazily: JSON Lines (plain, gzip, or in a tar archive) and parquet, each row with its place.

Shared by the local mirror and the hub's downloads. pyarrow is imported only when a parquet file is read.
"""

import gzip
import json
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.utils.errors import RowError, SourceError

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet")
_BATCH = 4096


def read_table(path: Path, shown: str) -> Iterator[RawRow]:
    """Every row of one file. `shown` is the file's name in errors and places ('xnli/test.de.jsonl.gz').

    Raises SourceError for files that are empty, truncated or of an unknown format, and RowError with the line
    number for a line that is not a JSON object.
    """
    if path.name.endswith(".parquet"):
        rows = _parquet_rows(path, shown)
    elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
        rows = _archived_rows(path, shown)
    elif path.name.endswith((".jsonl", ".jsonl.gz", ".json", ".json.gz")):
        rows = _json_rows(path, shown)
    else:
        raise SourceError(f"{shown}: rows are read from {', '.join(SUFFIXES)}; this file has another format")
    found = False
    for row in rows:
        found = True
        yield row
    if not found:
        raise SourceError(f"{shown}: expected rows, found an empty file")


def read_lines(path: Path, shown: str) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without the line end) of a UTF-8 file, plain or gzip; blank lines are skipped."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8")
                if not text.isspace():
                    yield number, text.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RowError(f"{shown} line {number}", f"expected UTF-8 text, found other bytes ({error})") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"gzip file truncated or damaged after line {number} ({error}); copy or download it again"
        raise SourceError(f"{shown}: {problem}") from error
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read ({error})") from error


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
                    if line.strip():
                        yield RawRow(parse_object(line.decode("utf-8"), place), place)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise SourceError(f"{shown}: tar archive truncated or damaged ({error}); copy or download it again") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{shown}: expected UTF-8 text, found other bytes ({error})") from error


def _refuse_unsafe_member(member: tarfile.TarInfo, shown: str) -> None:
    """Refuse an archive with members outside its own folder, links or devices."""
    parts = PurePosixPath(member.name.replace("\\", "/")).parts
    if ".." in parts or member.name.startswith(("/", "\\")) or ":" in (parts[0] if parts else ""):
        raise SourceError(f"{shown}: refused, its member '{member.name}' is outside the archive's folder")
    if not (member.isfile() or member.isdir()):
        raise SourceError(f"{shown}: refused, its member '{member.name}' is a link or a device, not a file")


def parse_object(line: str, place: str) -> dict[str, Any]:
    """The JSON object on one line. Raises RowError for anything else."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise RowError(
            place, f"expected a JSON object, found broken JSON ({error.msg} at column {error.colno})"
        ) from None
    if not isinstance(values, dict):
        raise RowError(place, f"expected a JSON object, found {type(values).__name__}: {line[:60]}")
    return values


def _parquet_rows(path: Path, shown: str) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(values, f"{shown} row {number}")
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{shown}: parquet file truncated or damaged ({error}); copy or download it again") from error
