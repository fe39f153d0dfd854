"""Lines of UTF-8 files, plain or gzip, with errors that name the line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from stiltgrid.utils.errors import RowError, SourceError

BYTE_ORDER_MARK = "\ufeff"


def read_lines(path: Path, shown: str, blank: bool = False) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without the line end) of a UTF-8 file; blank lines only if `blank`.

    A byte order mark at the beginning is dropped. `shown` is the file's name in errors. Raises RowError for bytes that
    are not UTF-8 and SourceError for a file that cannot be read.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = decoded(line, number)
                if blank or text.strip():
                    yield number, text.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RowError(f"{shown} line {number}", encoding_problem(error)) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(gzip_problem(shown, number, error)) from error
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read ({error})") from error


def decoded(line: bytes, number: int) -> str:
    """The text of one line of a file, without the byte order mark that Windows puts before the first."""
    text = line.decode("utf-8")
    return text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text


def encoding_problem(error: UnicodeDecodeError) -> str:
    """The message for bytes that are not UTF-8."""
    if error.object[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "expected UTF-8 text, found UTF-16 as Windows and Excel write it; save the file as UTF-8"
    return f"expected UTF-8 text, found other bytes ({error})"


def gzip_problem(shown: str, number: int, error: Exception) -> str:
    """The message for a damaged gzip file."""
    return f"{shown}: gzip file truncated or damaged after line {number} ({error}); copy or download it again"
