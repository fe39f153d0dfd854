"""The tests' mirror, served as the hub would: every repository, configuration and split that the cards name.

What a card says of its `hub` section is turned around here: configurations become folders or a README,
renamed columns get the hub's names back, labels become numbers of ClassLabels in another order.
"""

import csv
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stand_in_hub import StandInHub
from stiltgrid.data.sources.hub import CONVERTED, section_for
from stiltgrid.data.sources.local import LocalSource, parse_name, split_names
from stiltgrid.grid.cards import TaskCard

Files = dict[str, bytes]


def parquet(rows: list[dict[str, Any]], **classes: list[str]) -> bytes:
    """Parquet as `datasets` writes it: features in the metadata, `classes` columns with label names."""
    import datasets

    table = datasets.Dataset.from_list(rows)
    features = table.features.copy()
    for column, names in classes.items():
        label = datasets.ClassLabel(names=names)
        features[column] = datasets.List(label) if isinstance(rows[0][column], list) else label
    buffer = io.BytesIO()
    table.cast(features).to_parquet(buffer)
    return buffer.getvalue()


def archive(members: Mapping[str, str]) -> bytes:
    """A .tar.gz of text files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            file.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def separated(rows: list[dict[str, Any]]) -> str:
    """Tab-separated values with a header, as pandas writes them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def serve(hub: StandInHub, commits: Mapping[tuple[str, str], Files]) -> None:
    """Put a commit into every repository that the cards read, at the revision that they read it at."""
    for (path, revision), files in commits.items():
        repository = hub.repositories.get(("dataset", path)) or hub.repository(path)
        repository.commit({**files, **({} if revision == CONVERTED else {"README.md": _readme(files)})}, ref=revision)


def commits_of(cards: Mapping[str, TaskCard], folder: Path) -> dict[tuple[str, str], Files]:
    """Files by repository and revision, for all cards, out of the tests' mirror."""
    commits: dict[tuple[str, str], Files] = {}
    mixed: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for card in cards.values():
        for section, language, name, rows in _tables(card, LocalSource(folder)):
            key = (section["path"], section["revision"])
            files = commits.setdefault(key, {})
            config = section.get("config")
            code = (section.get("codes") or {}).get(language, language)
            if name in (section.get("data_files") or {}):
                path = section["data_files"][name].format(language=language, code=code)
                if path.endswith(".parquet"):
                    files[path] = parquet(rows, **_classes(card, section, rows))
                    continue
                text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                text = separated(rows) if path.endswith(".tsv") else text
                files[path] = archive({"rows.jsonl": text}) if path.endswith(".tar.gz") else text.encode()
                continue
            configs = [config] if isinstance(config, str) else config or ["default"]
            place = f"{configs[0].format(language=language, code=code)}/{name}"
            if "prefix" in section:
                rows = mixed.setdefault((*key, place), []) + rows
                mixed[*key, place] = rows
            if any("{" in column for column in section.get("columns") or {}):  # a table with a column a language
                wide = mixed.setdefault((*key, place), [{} for _ in rows])
                rows = mixed[*key, place] = [{**one, **other} for one, other in zip(wide, rows, strict=True)]
            files[f"{place}/0000.parquet"] = parquet(rows, **_classes(card, section, rows))
            for other in configs[1:]:  # a language's other treebanks
                files[f"{other}/{name}/0000.parquet"] = files[f"{place}/0000.parquet"]
    return commits


def _tables(card: TaskCard, local: LocalSource) -> Iterator[tuple[Mapping[str, Any], str, str, list[dict[str, Any]]]]:
    """(hub section, language, the hub's name of a split, rows in the hub's columns)."""
    if card.hub is None:
        return
    for language in dict.fromkeys((*card.train_languages, *card.languages)):
        section = section_for(card, language)
        for split, value in section["splits"].items():
            for part in value if isinstance(value, Mapping) else [None]:
                stored = split_names((card.local or {}), split, *([part] if part else []))
                names = split_names(section, split, *([part] if part else []))
                for index, name in enumerate(names):
                    narrow = _lareqa(card) if card.name == "lareqa" else _narrowed(card, split, stored, index)
                    if local.has(narrow, split, language):
                        rows = [dict(row.values) for row in local.read(narrow, split, language)]
                        stem = parse_name(name, "").stem.removeprefix("/")
                        config = section.get("config")
                        config = config.get(split) if isinstance(config, Mapping) else config
                        hub_rows = [_as_on_hub(card, section, row, language) for row in rows]
                        yield {**section, "config": config}, language, stem, hub_rows


def _narrowed(card: TaskCard, split: str, stored: list[str], index: int) -> TaskCard:
    return replace(
        card, local={**(card.local or {}), "splits": {split: stored[index] if index < len(stored) else None}}
    )


def _lareqa(card: TaskCard) -> TaskCard:
    """XQuAD-R's paragraphs: the fixture's mirror has them as XQuAD's."""
    return replace(card, local={"folder": "xquad", "splits": {"test": "validation"}})


def _as_on_hub(card: TaskCard, section: Mapping[str, Any], row: dict[str, Any], language: str) -> dict[str, Any]:
    names = _hub_names(section, language)
    row = {names.get(key, key): value for key, value in row.items()}
    if "prefix" in section and not str(row["id"]).startswith(section["prefix"]["values"][language]):
        row["id"] = f"{section['prefix']['values'][language]}-{language}-{row['id']}"
    for column in _label_columns(card, section):
        order = _names(card)
        raw = {name: order.index(name) for name in card.labels}
        raw |= {str(value): order.index(name) for name, value in _raw_values(card).items()}
        value = row[column]
        row[column] = [raw[str(item)] for item in value] if isinstance(value, list) else raw.get(str(value), -1)
    return row


def _hub_names(section: Mapping[str, Any], language: str = "") -> dict[str, str]:
    """Our columns' names on the hub; of several that would do, the first."""
    code = (section.get("codes") or {}).get(language, language)
    names: dict[str, str] = {}
    for theirs, mine in (section.get("columns") or {}).items():
        names.setdefault(mine, theirs.format(language=language, code=code))
    return names


def _names(card: TaskCard) -> list[str]:
    """The card's labels in an order that is not the card's: what is mapped by number goes wrong."""
    return [*card.relabel, *reversed(card.labels)]


def _raw_values(card: TaskCard) -> dict[str, Any]:
    return {
        **dict(zip(card.labels, card.label_values or card.labels, strict=True)),
        **{raw: raw for raw in card.relabel},
    }


def _label_columns(card: TaskCard, section: Mapping[str, Any]) -> list[str]:
    """Columns that hold numbers with names: integers on the hub, and tags; strings stay strings."""
    if not all(path.endswith(".parquet") for path in (section.get("data_files") or {}).values()):
        return []  # files without features: raw values as they are
    names = _hub_names(section)
    column = card.fields.get("label") or card.fields.get("tags")
    numbered = card.family == "tagging" or all(isinstance(value, int) for value in card.label_values or ["text"])
    return [names.get(column, column)] if card.labels and numbered else []


def _classes(card: TaskCard, section: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {column: _names(card) for column in _label_columns(card, section)}


def _readme(files: Files) -> str:
    configs: dict[str, dict[str, str]] = {}
    for path in files:
        config, _, rest = path.partition("/")
        if path.endswith(".parquet"):
            configs.setdefault(config, {})[rest.partition("/")[0]] = f"{config}/{rest.partition('/')[0]}/*.parquet"
    lines = ["---", "configs:"] if configs else ["---", "language: en"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        lines += [line for split, glob in splits.items() for line in (f"  - split: {split}", f"    path: {glob}")]
    return "\n".join([*lines, "---", "", "# Made for the tests"])
