"""A folder of files with the columns of the hub's data sets: a mirror, or data of the user.

A card's `local` section names `folder` and `splits`; a file is {data_dir}/{folder}/{name}.{language}{ending}, with an
ending of JSON Lines, parquet, CSV, TSV or CoNLL (`rowfiles.SUFFIXES`). A name with "/" is relative to `data_dir`; a
name with such an ending is the complete file name, without a language; and any name may end in a slice of row
positions: "squad/train_large[:800]". Raw text is {data_dir}/text/{language}.txt.gz (or .txt).
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.data.sources.columns import ColumnCheck
from stiltgrid.data.sources.rowfiles import SUFFIXES, FileFormat, read_table
from stiltgrid.data.sources.textfiles import read_lines
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import SourceError, nearest
from stiltgrid.utils.files import read_json

_SLICE = re.compile(r"^(?P<name>[^\[\]]+)(?:\[(?P<start>\d*):(?P<stop>\d*)\])?$")
MANIFEST = "mirror.json"  # written by preparation/mirror.py: the origin of each file of a mirror
TEXT_SUFFIXES = (".txt.gz", ".txt")


@dataclass(frozen=True)
class FileName:
    """One entry of `splits`: a stem relative to the data folder and the rows [start, stop) of its file."""

    stem: str
    start: int = 0
    stop: int | None = None


def parse_name(name: str, folder: str) -> FileName:
    """Parse "train", "squad/train[:800]" or "train[800:]". Raises SourceError for a slice of another form."""
    match = _SLICE.match(name)
    if match is None:
        raise SourceError(f"split '{name}': expected a name, or a name with rows like 'train[:800]' or 'train[800:]'")
    stem = match["name"] if "/" in match["name"] else f"{folder}/{match['name']}"
    start, stop = int(match["start"] or 0), int(match["stop"]) if match["stop"] else None
    if stop is not None and stop <= start:
        raise SourceError(f"split '{name}': the slice holds no rows")
    return FileName(stem, start, stop)


def split_names(section: Mapping[str, Any] | None, split: str, part: str | None = None) -> list[str]:
    """The source's names of a split (of all parts, or of one part); [] where the section has no such split."""
    value = ((section or {}).get("splits") or {}).get(split)
    if isinstance(value, Mapping):
        chosen = value.values() if part is None else [value[part]] if part in value else []
        return [name for item in chosen for name in ([item] if isinstance(item, str) else item)]
    if value is None or part is not None:
        return []
    return [value] if isinstance(value, str) else list(value)


class LocalSource(Source):
    """Reads the files of a folder. Messages about missing files name the file with the nearest name."""

    kind = "local"

    def __init__(self, data_dir: str | Path) -> None:
        self.data_dir = Path(data_dir)
        self._read: set[Path] = set()

    def names(self, card: TaskCard, split: str, part: str | None = None) -> list[FileName]:
        """Files of a split, before language and ending are known."""
        section = card.local or {}
        return [parse_name(name, section.get("folder", card.name)) for name in split_names(section, split, part)]

    def folder(self, card: TaskCard) -> Path:
        """The card's own folder, for adapters that read files of another form."""
        return self.data_dir / (card.local or {}).get("folder", card.name)

    def read(self, card: TaskCard, split: str, language: str, part: str | None = None) -> Iterator[RawRow]:
        """Rows of all the split's files in their order; see `Source.read`."""
        names = self.names(card, split, part)
        if not names:
            which = f"split '{split}'" if part is None else f"part '{part}' of split '{split}'"
            raise SourceError(f"task '{card.name}': its `local` section names no file for {which}")
        for name in names:
            if problem := self._problem(name.stem, language):
                raise SourceError(f"task '{card.name}': {problem}")
            [path] = self._find(name.stem, language)
            check = ColumnCheck.of(card, card.local or {}, self._shown(path), path)
            yield from check.mapped(renamed(self._slice(card, path, name), (card.local or {}).get("columns")))

    def _slice(self, card: TaskCard, path: Path, name: FileName) -> Iterator[RawRow]:
        self._read.add(path)
        shown = self._shown(path)
        found = False
        for row in islice(read_table(path, shown, FileFormat.of(card.local)), name.start, name.stop):
            found = True
            yield row
        if not found:
            raise SourceError(f"{shown}: expected rows from position {name.start} on, found fewer")

    def has(self, card: TaskCard, split: str, language: str, part: str | None = None) -> bool:
        """Whether any file of the split exists; `read` raises SourceError unless all do."""
        if language in ((card.local or {}).get("missing") or {}).get(split, ()):
            return False
        return any(self._find(name.stem, language) for name in self.names(card, split, part))

    def missing(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """A sentence for every file of the split that is missing or given twice. Languages in `missing` have none."""
        if language in ((card.local or {}).get("missing") or {}).get(split, ()):
            return []
        stems = dict.fromkeys(name.stem for name in self.names(card, split, part))
        return [problem for stem in stems if (problem := self._problem(stem, language))]

    def files(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """The split's existing files."""
        stems = dict.fromkeys(name.stem for name in self.names(card, split, part))
        return [str(path) for stem in stems for path in self._find(stem, language)]

    def text_file(self, language: str) -> Path | None:
        """Path of the raw text of a language, or None."""
        return next(iter(self._existing(f"text/{language}", TEXT_SUFFIXES)), None)

    def has_text(self, language: str) -> bool:
        """See `Source.has_text`."""
        return self.text_file(language) is not None

    def text_obstacle(self, language: str) -> str:
        """See `Source.text_obstacle`."""
        places = (self.data_dir / "text" / f"{language}{suffix}" for suffix in TEXT_SUFFIXES)
        blocked = next((path for path in places if os.path.lexists(path) and not path.is_file()), None)
        return f"found {_kind_of(blocked)} 'text/{blocked.name}'" if blocked else ""

    def text(self, language: str) -> Iterator[str]:
        """One document a line."""
        path = self.text_file(language)
        if path is None:
            present = [file.name.partition(".")[0] for file in sorted((self.data_dir / "text").glob("*.txt*"))]
            raise SourceError(
                f"raw text of '{language}': expected text/{language}.txt.gz in {self.data_dir}; "
                + (nearest(language, present) if present else "the folder has no raw text")
            )
        if len(found := self._existing(f"text/{language}", TEXT_SUFFIXES)) > 1:
            raise SourceError(f"raw text of '{language}': {self._ambiguous(found)}")
        self._read.add(path)
        empty = True
        for _, line in read_lines(path, self._shown(path)):
            empty = False
            yield line
        if empty:
            raise SourceError(f"text/{path.name}: expected lines of text, found an empty file")

    def provenance(self) -> dict[str, Any]:
        """Size and SHA-256 of every file read so far, by its path in the folder.

        Files written by `make mirror` also have the repository and commit that they were downloaded from.
        """
        manifest = self.data_dir / MANIFEST
        fetched = read_json(manifest).get("rows", {}) if manifest.is_file() else {}
        files = {}
        for path in sorted(self._read):
            name = path.relative_to(self.data_dir).as_posix()
            origin = {key: fetched[name][key] for key in ("repository", "commit")} if name in fetched else {}
            files[name] = {"bytes": path.stat().st_size, "sha256": file_digest(path), **origin}
        return {"source": self.kind, "files": files}

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.data_dir).as_posix()

    def _find(self, stem: str, language: str) -> list[Path]:
        """The files of a stem in a language: one, none, or several by mistake."""
        if stem.endswith(SUFFIXES):
            return self._existing(stem, ("",))
        return self._existing(f"{stem}.{language}", SUFFIXES)

    def _existing(self, stem: str, suffixes: Sequence[str]) -> list[Path]:
        base = str(self.data_dir / stem)
        return [Path(base + suffix) for suffix in suffixes if os.path.isfile(base + suffix)]  # noqa: PTH113

    def _problem(self, stem: str, language: str) -> str | None:
        """Why the file of a stem in a language cannot be read; None where it can."""
        found = self._find(stem, language)
        if len(found) == 1:
            return None
        return self._ambiguous(found) if found else self._missing(stem, language)

    def _ambiguous(self, paths: Sequence[Path]) -> str:
        names = " and ".join(self._shown(path) for path in paths)
        return f"expected one file, found {names} in {self.data_dir}; remove all but one"

    def _missing(self, stem: str, language: str) -> str:
        wanted = stem if stem.endswith(SUFFIXES) else f"{stem}.{language}.jsonl.gz"
        where = f"{wanted} is missing in {self.data_dir}"
        folder = (self.data_dir / stem).parent
        if not folder.is_dir():
            here = _folder_names(self.data_dir)
            hint = nearest(folder.name, here) if here else "the data folder does not exist or is empty"
            return f"{where}: there is no folder '{folder.name}'; {hint}"
        name = Path(wanted).name
        there = sorted(entry.name for entry in os.scandir(folder))
        looked_for = {name} if stem.endswith(SUFFIXES) else {f"{Path(stem).name}.{language}{end}" for end in SUFFIXES}
        blocked = next((item for item in there if item in looked_for), None)
        if blocked is not None:
            return f"{where}: expected a file, found {_kind_of(folder / blocked)} '{blocked}'"
        present = [item for item in there if item.endswith(SUFFIXES)]
        if present:
            return f"{where}; {nearest(name, present)}"
        held = f"it has {', '.join(there[:5])}{', …' if len(there) > 5 else ''}" if there else "it is empty"
        return f"{where}: no file of the folder can be read, {held}; read are {', '.join(SUFFIXES)}"


def _folder_names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir() if item.is_dir()) if folder.is_dir() else []


def _kind_of(path: Path) -> str:
    """What is in a file's place."""
    if path.is_symlink() and not path.exists():
        return "a broken link"
    if path.is_dir():
        return "a folder"
    return "a named pipe" if stat.S_ISFIFO(path.stat().st_mode) else "a device or socket"


def renamed(rows: Iterator[RawRow], columns: Mapping[str, str] | None) -> Iterator[RawRow]:
    """Rows with their columns renamed by `columns` (source name to card name); other columns keep their names."""
    if not columns:
        return rows
    return (RawRow({columns.get(key, key): value for key, value in row.values.items()}, row.place) for row in rows)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
