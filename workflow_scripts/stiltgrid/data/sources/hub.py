"""Rows from the Hugging Face hub at a pinned revision, checked against the card before the first is used.

Files are found in one of three ways: `data_files` names them; the branch refs/convert/parquet has one folder for
each configuration and split; for any other revision the `datasets` library reads in the repository's README which
files make up a configuration's split. Only that split's files are downloaded.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.data.sources.client import HubClient, Repository
from stiltgrid.data.sources.columns import ColumnCheck
from stiltgrid.data.sources.local import LocalSource, parse_name, renamed, split_names
from stiltgrid.data.sources.rowfiles import FileFormat, read_table
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import SourceError, nearest

logger = logging.getLogger(__name__)
CONVERTED = "refs/convert/parquet"
# Cleaned articles of all Wikipedias (CC BY-SA); the commit is one that many public repositories pin.
WIKIPEDIA = ("wikimedia/wikipedia", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa")
WIKIPEDIA_DUMP = "20231101"


@dataclass(frozen=True)
class Table:
    """The files of one entry of `splits`, and the features that the repository's README declares."""

    repository: Repository
    paths: tuple[str, ...]
    features: Any = None


class HubSource(Source):
    """Reads cards' `hub` sections. Cards without one are read from `data_dir` (licensed data, data of the user)."""

    kind = "hub"

    def __init__(self, data_dir: str | Path | None = None, client: HubClient | None = None) -> None:
        self.client = client or HubClient()
        self.local = LocalSource(data_dir) if data_dir is not None else None
        self._configs: dict[tuple[str, str], list[str]] = {}
        self._warned: set[tuple[str, str]] = set()  # (task, repository) of unverified sections already logged
        self._builders: dict[tuple[str, str, str | None], Any] = {}

    def read(self, card: TaskCard, split: str, language: str, part: str | None = None) -> Iterator[RawRow]:
        """See `Source.read`. Raises SourceError for columns or label names that the card does not have."""
        if card.hub is None:
            yield from self._own(card).read(card, split, language, part)
            return
        section = section_for(card, language)
        names = split_names(section, split, part)
        if not names:
            raise SourceError(f"task '{card.name}': its `hub` section has no split '{split}'")
        self._warn_if_unverified(card, section)
        for name in names:
            wanted = parse_name(name, "")
            stem = wanted.stem.removeprefix("/")
            for config in _configs(section, split, language):
                table = self._table(section, card, language, config, stem)
                rows = _of_language(self._rows(card, section, table, language), section, language)
                yield from islice(rows, wanted.start, wanted.stop)

    def has(self, card: TaskCard, split: str, language: str, part: str | None = None) -> bool:
        """Whether the card says so; the hub is not contacted."""
        if card.hub is None:
            return self.local is not None and self.local.has(card, split, language, part)
        section = section_for(card, language)
        if language in (section.get("missing") or {}).get(split, ()):
            return False
        if "prefix" in section and language not in section["prefix"]["values"]:
            return False
        # A job may hold a card view without the languages.
        known = not card.languages or language in card.languages or language in card.train_languages
        return known and bool(split_names(section, split, part))

    def missing(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """For cards that are not on the hub: what `data_dir` lacks, or that it is not set. Otherwise empty."""
        if card.hub is not None:
            return []
        if self.local is None:
            how = getattr(card, "obtain", None)
            problem = f"task '{card.name}' is not on the hub: set `data_dir` to a folder that holds it"
            return [f"{problem}. {how}" if how else problem]
        return self.local.missing(card, split, language, part)

    def files(self, card: TaskCard, split: str, language: str, part: str | None = None) -> list[str]:
        """Files in `data_dir`; the hub's are pinned by the card's revision."""
        if card.hub is not None or self.local is None:
            return []
        return self.local.files(card, split, language, part)

    def parts(self, card: TaskCard, split: str) -> tuple[str, ...]:
        """See `Source.parts`."""
        return (
            super().parts(card, split) if card.hub is not None or self.local is None else self.local.parts(card, split)
        )

    def folder(self, card: TaskCard) -> Path | None:
        """The card's folder in `data_dir`, if that is set."""
        return self.local.folder(card) if self.local is not None else None

    def has_text(self, language: str) -> bool:
        """True: Wikipedia is not contacted. A language that it lacks is an error when its text is prepared."""
        return True

    def text(self, language: str) -> Iterator[str]:
        """Raw text in `data_dir`, or else articles of Wikipedia, downloaded file by file as they are needed."""
        if self.local is not None and self.local.has_text(language):
            yield from self.local.text(language)
            return
        repository = self.client.repository(*WIKIPEDIA)
        folder = f"{WIKIPEDIA_DUMP}.{language}"
        paths = sorted(path for path in self.client.files(repository, folder) if path.endswith(".parquet"))
        if not paths:
            raise SourceError(
                f"raw text of '{language}': {repository} has no {folder}; set `data_dir` to a folder that holds "
                f"text/{language}.txt.gz"
            )
        for path in paths:
            for row in read_table(self.client.download(repository, path), f"{repository} {path}"):
                yield " ".join(str(row.values["text"]).split())

    def provenance(self) -> dict[str, Any]:
        """The commit of every repository that was read, by `name@revision`, and files read from `data_dir`."""
        own = {"files": self.local.provenance()["files"]} if self.local is not None else {}
        return {"source": self.kind, "commits": self.client.provenance(), **own}

    def _warn_if_unverified(self, card: TaskCard, section: Mapping[str, Any]) -> None:
        """Log once for a task and repository that nobody read what the card says of them."""
        key = (card.name, section["path"])
        if section["verified"] or key in self._warned:
            return
        self._warned.add(key)
        logger.warning(
            "task '%s': what its card says of %s was not verified: %s",
            card.name,
            section["path"],
            section.get("note", "the card does not say what"),
        )

    def _own(self, card: TaskCard) -> LocalSource:
        if self.local is None:
            raise SourceError(self.missing(card, "train", "en")[0])
        return self.local

    def _rows(self, card: TaskCard, section: Mapping[str, Any], table: Table, language: str) -> Iterator[RawRow]:
        columns = {_filled(name, section, language): ours for name, ours in (section.get("columns") or {}).items()}
        by_language = columns.keys() != (section.get("columns") or {}).keys()
        for path in table.paths:
            shown = f"{table.repository} {path}"
            file = self.client.download(table.repository, path)
            check = ColumnCheck.of(card, {**section, "columns": columns}, shown, file, table.features)
            rows = read_table(file, shown, FileFormat.of(section))
            yield from check.mapped(renamed(_only(rows, columns) if by_language else rows, columns))

    def _table(
        self, section: Mapping[str, Any], card: TaskCard, language: str, config: str | None, split: str
    ) -> Table:
        repository = self.client.repository(section["path"], section["revision"])
        named = (section.get("data_files") or {}).get(split)
        if named is not None:
            return Table(repository, (_filled(named, section, language),))
        if section["revision"] == CONVERTED or self._looks_converted(repository, config):
            return self._converted(repository, config or "default", split)
        return self._declared(repository, config, split)

    def _looks_converted(self, repository: Repository, config: str | None) -> bool:
        """Whether a commit belongs to the converted branch, whose configurations are folders and not in a README."""
        if config is None or config in self._config_names(repository):
            return False
        return any(path.count("/") > 1 for path in _parquet_only(self.client.files(repository, config)))

    def _converted(self, repository: Repository, config: str, split: str) -> Table:
        files = _parquet_only(self.client.files(repository, config))
        if not files:
            configs = {path.split("/")[0] for path in _parquet_only(self.client.files(repository)) if "/" in path}
            raise SourceError(f"{repository}: no configuration '{config}'; {nearest(config, configs)}")
        paths = tuple(sorted(path for path in files if path.startswith(f"{config}/{split}/")))
        if not paths:
            splits = {path.split("/")[1] for path in files if path.count("/") > 1}
            if f"partial-{split}" in splits:
                raise SourceError(f"{repository} {config}: only part of '{split}' was converted (partial-{split})")
            raise SourceError(f"{repository} {config}: no split '{split}'; {nearest(split, splits)}")
        return Table(repository, paths)

    def _declared(self, repository: Repository, config: str | None, split: str) -> Table:
        builder = self._builder(repository, config)
        files = {str(name): list(paths) for name, paths in (builder.config.data_files or {}).items()}
        if split not in files:
            raise SourceError(f"{repository} {config or ''}: no split '{split}'; {nearest(split, files)}")
        marker = f"@{repository.commit}/"
        paths = tuple(str(path).partition(marker)[2] for path in files[split])
        return Table(repository, paths, builder.info.features)

    def _builder(self, repository: Repository, config: str | None) -> Any:
        """The dataset builder of a configuration: its files by split, and the features that the README declares."""
        key = (repository.name, repository.commit, config)
        if key not in self._builders:
            import datasets

            known = self._config_names(repository)
            if config is not None and config not in known:
                raise SourceError(f"{repository}: no configuration '{config}'; {nearest(config, known)}")
            self._builders[key] = self.client.with_retries(
                f"configuration '{config}' of {repository}",
                lambda: datasets.load_dataset_builder(repository.name, config, revision=repository.commit),
                repository.name,
                repository.kind,
            )
        return self._builders[key]

    def _config_names(self, repository: Repository) -> list[str]:
        key = (repository.name, repository.commit)
        if key not in self._configs:
            import datasets

            # `datasets` reads the README from this cache; it would give up at the first 503, the client retries.
            self.client.download_if_any(repository, "README.md")
            self._configs[key] = self.client.with_retries(
                f"configurations of {repository}",
                lambda: datasets.get_dataset_config_names(repository.name, revision=repository.commit),
                repository.name,
                repository.kind,
            )
        return self._configs[key]


def section_for(card: TaskCard, language: str) -> Mapping[str, Any]:
    """The card's `hub` section for a language, with the language's override applied."""
    section: Mapping[str, Any] = card.hub or {}
    for override in section.get("overrides") or ():
        if language in override["languages"]:
            return {**section, **override}
    return section


def _filled(template: str, section: Mapping[str, Any], language: str) -> str:
    return template.format(language=language, code=(section.get("codes") or {}).get(language, language))


def _configs(section: Mapping[str, Any], split: str, language: str) -> list[str | None]:
    """Configurations of one of our splits in a language, in the order in which their rows are read."""
    configs = section.get("config")
    if isinstance(configs, Mapping):
        configs = configs.get(split)
    if configs is None:
        return [None]
    return [_filled(item, section, language) for item in ([configs] if isinstance(configs, str) else configs)]


def _only(rows: Iterator[RawRow], columns: Mapping[str, str]) -> Iterator[RawRow]:
    """Rows without the columns that `columns` does not name: those of the other languages."""
    return (RawRow({key: row.values[key] for key in columns if key in row.values}, row.place) for row in rows)


def _parquet_only(paths: Iterable[str]) -> list[str]:
    """Without what the converted branch holds beside its tables, such as .gitattributes or an index."""
    return [path for path in paths if path.endswith(".parquet")]


def _of_language(rows: Iterator[RawRow], section: Mapping[str, Any], language: str) -> Iterator[RawRow]:
    """Rows of one language from a table of several (`prefix`)."""
    prefix = section.get("prefix")
    if prefix is None:
        return rows
    start = f"{prefix['values'][language]}-"
    return (row for row in rows if str(row.values.get(prefix["column"], "")).startswith(start))
