"""A mirror for machines without network: the data and models of a configuration, downloaded from the hub.

The resulting folder is a `data_dir` for `source: local`. Every file is written atomically, and `mirror.json` records
its commit, so that an interrupted run continues where it stopped.
"""

import gzip
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stiltgrid.data import adapters
from stiltgrid.data.sources.client import HubClient
from stiltgrid.data.sources.hub import WIKIPEDIA, HubSource, section_for
from stiltgrid.data.sources.local import MANIFEST, parse_name, split_names
from stiltgrid.data.sources.rowfiles import SUFFIXES
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.paths import converted_folder
from stiltgrid.grid.recipes import by_version, of_version, texts, variants
from stiltgrid.preparation.models import mirror_model
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path, read_json, write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Need:
    """A split of a card in one language, for training (or early stopping) or for evaluation."""

    card: TaskCard
    split: str
    language: str
    training: bool


def needs(grid: Grid) -> Iterator[Need]:
    """All splits that the grid reads, in a fixed order; a split may be needed for both purposes."""
    for name in grid.trained_tasks():
        card = grid.cards[name]
        for split in ("train", "dev"):
            for origin in adapters.origin_cards(card, split, True, grid.cards):
                yield from (Need(origin, split, language, True) for language in card.train_languages)
    for item in variants(grid).values():
        card = grid.cards[item.task]
        for version, codes in by_version(card, item, grid.source).items():
            for origin in (of_version(grid.cards[name], version) for name in card.origins("train")):
                yield from (Need(origin, "train", language, True) for language in codes)
    for name in grid.all_targets:
        card = grid.cards[name]
        for split in ("dev", "test"):
            for origin in adapters.origin_cards(card, split, False, grid.cards):
                yield from (Need(origin, split, language, False) for language in card.languages)


def mirror(grid: Grid, out_dir: str | os.PathLike[str], client: HubClient | None = None) -> None:
    """Download every selected task and model into `out_dir`, in the layout of `LocalSource`.

    Files of an earlier run from the same commit are kept. Tasks that are not on the hub (CCGbank) are named in a
    warning and left to the user. Raises SourceError at the first file that cannot be downloaded.
    """
    client = client or HubClient()
    source, folder = HubSource(client=client), Path(out_dir)
    manifest = _Manifest(folder)
    absent = []
    for need in needs(grid):
        if need.card.hub is None:
            absent.append(need.card)
        elif adapters.has_rows(need.card, need.split, need.language, source, need.training, grid.cards):
            for wanted in _files(need, source):
                manifest.add(wanted, client)
    for mlm in texts(grid).values():
        for language in mlm["languages"]:
            manifest.add_text(language, mlm.get("characters"), source)
    for name, how in dict.fromkeys((card.name, card.obtain or "Add your own copy") for card in absent):
        logger.warning("%s is not on the hub. %s", name, how)
    for model in grid.models.values():
        if model.hub is not None and model.convert:
            logger.warning(
                "model '%s' is not mirrored, its weights are converted by a job of its own: run "
                "`snakemake convert_model` where the hub can be reached, and keep %s",
                model.name,
                converted_folder(model.name),
            )
        elif model.hub is not None:
            manifest.add_model(model.hub, mirror_model(model, folder, client))
    logger.info("the mirror is complete: set `source: local` and `data_dir: %s`", folder)


@dataclass(frozen=True)
class _Wanted:
    """One file of the mirror: its name, its repository and revision, and a function that reads its rows."""

    name: str
    path: str
    revision: str
    rows: Any  # () -> Iterator of mappings


class _Manifest:
    """The contents of `mirror.json`; writes the files that it does not list yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / MANIFEST
        self.record: dict[str, Any] = read_json(path) if path.is_file() else {"rows": {}, "models": {}}

    def add(self, wanted: _Wanted, client: HubClient) -> None:
        """Write a file, unless it exists from the same commit."""
        commit = client.repository(wanted.path, wanted.revision).commit
        entry = self.record["rows"].get(wanted.name)
        if entry is not None and entry["commit"] == commit and (self.folder / wanted.name).is_file():
            return
        count = write_rows(wanted.rows(), self.folder / wanted.name)
        origin = {"repository": wanted.path, "revision": wanted.revision, "commit": commit}
        self.record["rows"][wanted.name] = {**origin, "count": count}
        logger.info("%s: %d rows of %s", wanted.name, count, wanted.path)
        write_json(self.record, self.folder / MANIFEST)

    def add_text(self, language: str, characters: int | None, source: HubSource) -> None:
        """Write raw text of at most `characters`, unless the same exists already."""
        name = f"text/{language}.txt.gz"
        entry = self.record.get("texts", {}).get(language, {})
        if entry.get("characters", 0) == characters and (self.folder / name).is_file():
            return
        left = float("inf") if characters is None else characters
        with atomic_path(self.folder / name) as temporary, temporary.open("wb") as raw:
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as file:
                for text in source.text(language):
                    left -= len(text)
                    if left < 0:
                        break
                    file.write(text.encode() + b"\n")
        self.record.setdefault("texts", {})[language] = {"characters": characters, **_text_origin(source)}
        logger.info("%s written", name)
        write_json(self.record, self.folder / MANIFEST)

    def add_model(self, hub: str, entry: Mapping[str, Any]) -> None:
        """Record a copied model."""
        self.record["models"][hub] = dict(entry)
        write_json(self.record, self.folder / MANIFEST)


def _text_origin(source: HubSource) -> dict[str, Any]:
    repository = source.client.repository(*WIKIPEDIA)
    return {"repository": repository.name, "revision": repository.revision, "commit": repository.commit}


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write JSON Lines (gzip, the same bytes for the same rows) atomically; returns the number of rows."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                count += 1
    return count


def _files(need: Need, source: HubSource) -> Iterator[_Wanted]:
    """Files of the mirror for a need: one for each table and name in the card's `local` section."""
    card, split = need.card, need.split
    if card.local is None:
        raise SourceError(f"task '{card.name}': its card has no `local` section, which names the files of a mirror")
    section = section_for(card, need.language)
    if isinstance(card.local["splits"].get(split), Mapping) and not source.parts(card, split):
        yield from _reshaped(need, section, source)
        return
    for language, *part in adapters.tables_of(card, split, need.language, source, need.training):
        stored = split_names(card.local, split, *part)
        wanted = split_names(section, split, *part)
        if len(stored) not in (1, len(wanted)):
            raise SourceError(
                f"task '{card.name}': its `local` section has {len(stored)} names for '{split}', its `hub` section "
                f"{len(wanted)}; expected as many, or one for all"
            )
        groups = [wanted] if len(stored) == 1 else [[name] for name in wanted]
        for name, group in zip(stored, groups, strict=True):
            narrow = _narrowed(card, section, split, group, *part)
            rows = _reader(source, narrow, split, language, *part)
            yield _Wanted(_file_name(card, name, language), section["path"], section["revision"], rows)


def _reader(source: HubSource, card: TaskCard, split: str, language: str, *part: str) -> Any:
    return lambda: (row.values for row in source.read(card, split, language, *part))


def _narrowed(card: TaskCard, section: Mapping[str, Any], split: str, names: list[str], *part: str) -> TaskCard:
    """The card with only some names of one split, and with its overrides applied."""
    value = {part[0]: names} if part else names
    return replace(card, hub={**section, "splits": {split: value}, "overrides": []})


def _reshaped(need: Need, section: Mapping[str, Any], source: HubSource) -> Iterator[_Wanted]:
    """Tables that only the adapter can make, where the hub has a single one (LAReQA's candidates)."""
    card, split, language = need.card, need.split, need.language
    hook = getattr(adapters.adapter_of(card), "mirrored", None)
    if hook is None:
        raise SourceError(f"task '{card.name}': a mirror has several tables for '{split}', the hub has one")
    for part in card.local["splits"][split] if card.local else ():
        [name] = split_names(card.local, split, part)
        rows = _part_reader(hook, card, split, language, source, part)
        yield _Wanted(_file_name(card, name, language), section["path"], section["revision"], rows)


def _part_reader(hook: Any, card: TaskCard, split: str, language: str, source: HubSource, part: str) -> Any:
    return lambda: hook(card, split, language, source)[part]


def _file_name(card: TaskCard, name: str, language: str) -> str:
    """The first file name that LocalSource looks for; slices are applied when the file is read."""
    stem = parse_name(name, (card.local or {}).get("folder", card.name)).stem
    return stem if stem.endswith(SUFFIXES) else f"{stem}.{language}{SUFFIXES[0]}"
