"""Reads the task cards, with the configuration's overlays on them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from stiltgrid.config.card_checks import name_problem
from stiltgrid.config.data_checks import world_languages
from stiltgrid.config.overlays import merge
from stiltgrid.config.schema import Schemas
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import nearest
from stiltgrid.utils.strict_yaml import scan_yaml

CONFIG = "config"


def read_cards(
    config: Mapping[str, Any], root: Path, schemas: Schemas
) -> tuple[dict[str, TaskCard], tuple[str, ...], list[str], dict[str, Mapping[str, str]]]:
    """The valid cards, the names of all cards, what is wrong with the invalid ones, and the `display` sections."""
    overlays = config.get("tasks", {})
    languages = world_languages(config.get("world", {})) if config.get("source") == "minilab" else None
    cards: dict[str, TaskCard] = {}
    display: dict[str, Mapping[str, str]] = {}
    paths = sorted(path for path in (root / "tasks").glob("*.y*ml") if not path.name.startswith("."))
    names = tuple(path.stem for path in paths)
    unknown = [name for name in overlays if name not in names]
    problems = [f"{CONFIG}: tasks.{name}: no such task, {nearest(name, names)}" for name in unknown]
    if not paths:
        problems.append(f"{root / 'tasks'}: expected a card for every task, found none")
    for path in paths:
        if (wrong := _file_problem(path)) is not None:
            problems.append(f"tasks/{path.name}: {wrong}")
            continue
        shown = f"tasks/{path.name}"
        content, found = scan_yaml(path, shown)
        problems += found
        if found or not isinstance(content, Mapping):
            problems += [] if found else [f"{shown}: expected a card, a mapping of keys; found nothing of that kind"]
            continue
        if languages is not None:
            content = {**content, "languages": _world_languages_of(content, languages)}
        if path.stem in overlays:
            problems += _foreign_languages(path.stem, overlays[path.stem], content, config.get("source"))
            content, shown = merge(content, overlays[path.stem]), f"{shown} with the config's tasks.{path.stem}"
        errors = schemas.errors("card.schema.yaml", content)
        problems += dict.fromkeys(f"{shown}: {error.sentence}" for error in errors)
        if not errors:
            cards[path.stem] = card_from(path.stem, content)
            display[path.stem] = content.get("display") or {}
    return cards, names, problems, display


def _file_problem(path: Path) -> str | None:
    if path.suffix != ".yaml":
        return f"a card's file ends in .yaml; rename it to {path.stem}.yaml"
    return name_problem(path.stem)


def _foreign_languages(name: str, overlay: Mapping[str, Any], card: Mapping[str, Any], source: str | None) -> list[str]:
    """Languages of an overlay that the data set lacks. In a mirror, the files decide, so nothing is checked here."""
    asked, known = overlay.get("languages"), card.get("languages", ())
    if source == "local" or (source == "hub" and "hub" in overlay) or not isinstance(asked, list):
        return []
    place = f"{CONFIG}: tasks.{name}.languages"
    return [f"{place}: the task has no '{code}', {nearest(code, known)}" for code in asked if code not in known]


def _world_languages_of(content: Mapping[str, Any], languages: Sequence[str]) -> list[str]:
    """The mini-lab's languages; without English for the retrieval of translations, where English is the other side."""
    bilingual = content.get("family") == "embedding"
    return [language for language in languages if not (bilingual and language == "en")]


def card_from(name: str, content: Mapping[str, Any]) -> TaskCard:
    """A card from a mapping that is valid by the schema."""
    known = {item.name for item in fields(TaskCard)}
    values: dict[str, Any] = {"fields": {}}
    for key in known & content.keys():
        values[key] = tuple(content[key]) if isinstance(content[key], list) else content[key]
    for key in ("rows", "benchmarks"):
        values[key] = {part: tuple(items) for part, items in content.get(key, {}).items()}
    return TaskCard(name=name, **values)
