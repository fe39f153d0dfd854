"""Checks of task cards beyond their schema: references, labels, templates, and what their hub section covers."""

import importlib.util
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.data.sources.columns import columns_wanted
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import MIXTURE, NONE
from stiltgrid.tasks.tag_schemes import tagging_problems
from stiltgrid.utils.errors import nearest

NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


def card_problems(card: TaskCard, cards: Mapping[str, TaskCard], names: Sequence[str]) -> list[str]:
    """Contradictions within a card or with the rest of the catalogue. `names` are all tasks."""
    checks = (
        _references(card, names),
        _row_problems(card, cards),
        _label_problems(card),
        _template_problems(card),
        _adapter_problems(card),
        _conll_problems(card),
        _stage_problems(card, cards),
    )
    return [f"tasks/{card.name}.yaml: {problem}" for check in checks for problem in check]


def name_problem(name: str) -> str | None:
    """Why a card's file name cannot be the name of a task; None where it can."""
    if name == NONE:
        return f"'{NONE}' is the row without an intermediate task; give the task another name"
    if name.startswith(MIXTURE):
        return f"names that begin with '{MIXTURE}' are those of the studies' mixtures; give the task another name"
    if not NAME.fullmatch(name):
        return (
            f"'{name}' cannot name a task; expected small letters, digits and underscores, a letter first, at most 100"
        )
    return None


def _references(card: TaskCard, names: Sequence[str]) -> Iterator[str]:
    for key, references in (("train", card.train), *((f"rows.{split}", names_) for split, names_ in card.rows.items())):
        for name in references:
            if name not in names:
                yield f"{key}: no such task '{name}', {nearest(name, names)}"


def _row_problems(card: TaskCard, cards: Mapping[str, TaskCard]) -> Iterator[str]:
    """`rows` names cards that have rows of their own."""
    for split, origins in card.rows.items():
        for name in origins:
            circle = _circle(card.name, name, split, cards)
            if circle:
                yield f"rows.{split}: goes in a circle: {' -> '.join(circle)}; name cards that have rows of their own"
            elif name in cards and split in cards[name].rows:
                inner = ", ".join(cards[name].rows[split])
                yield f"rows.{split}: '{name}' is itself made of {inner}; name those instead"
            elif name in cards and not card.adapter and _differs(cards[name], card):
                yield f"rows: the rows of '{name}' need an adapter, since its family or labels differ from this card's"


def _differs(origin: TaskCard, card: TaskCard) -> bool:
    return origin.family != card.family or origin.labels != card.labels


def _circle(start: str, name: str, split: str, cards: Mapping[str, TaskCard]) -> list[str]:
    """The cards that lead from `start` through `name` back to it; empty where they do not."""
    paths = [[start, name]]
    seen = set()
    while paths:
        path = paths.pop()
        if path[-1] == start:
            return path
        if path[-1] not in seen and path[-1] in cards:
            seen.add(path[-1])
            paths += [[*path, origin] for origin in cards[path[-1]].rows.get(split, ())]
    return []


def _label_problems(card: TaskCard) -> Iterator[str]:
    if card.label_values and len(card.label_values) != len(card.labels):
        yield f"label_values: expected one for each of the {len(card.labels)} labels, found {len(card.label_values)}"
    for raw, label in card.relabel.items():
        if label not in card.labels:
            yield f"relabel.{raw}: no such label '{label}', {nearest(label, card.labels)}"
        if raw in card.labels or raw in {str(value) for value in (*card.label_values, *card.drop_labels)}:
            yield f"relabel: '{raw}' is also one of labels, label_values or drop_labels; name it in one place"
    if card.family == "tagging":
        yield from tagging_problems(card.labels, card.options, card.metric)
    positive = card.options.get("positive")
    if positive is not None and positive not in card.labels:
        yield f"options.positive: no such label '{positive}', {nearest(positive, card.labels)}"


def _template_problems(card: TaskCard) -> Iterator[str]:
    for field, spec in card.fields.items():
        for item in [spec] if isinstance(spec, str) else spec:
            problem = template_problem(item)
            if problem:
                yield f"fields.{field}: '{item}': {problem}"


def template_problem(spec: str) -> str | None:
    """What is wrong with a column's name, a dotted path or a template (`{premise} {question}`); None if it is valid."""
    if "{" not in spec and "}" not in spec:
        return None if all(spec.split(".")) else "a step of the dotted path is empty"
    try:
        parts = list(string.Formatter().parse(spec))
    except ValueError as error:
        return f"not a template ({str(error).lower()}); expected columns in braces, as in '{{question}} {{answer}}'"
    names = [name for _, name, _, _ in parts if name is not None]
    if any(form or conversion for _, _, form, conversion in parts):
        return "a template has columns alone; formats (`:`) and conversions (`!`) are not part of it"
    if not names:
        return "a template without a column gives every row the same text"
    if not all(name and all(name.split(".")) and not name.isdecimal() for name in names):
        return "a template needs the name of a column in each pair of braces"
    return None


def placeholders(template: str) -> set[str]:
    """Names in the braces of a template; none where it cannot be parsed, which `template_problem` reports."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name}
    except ValueError:
        return set()


def _adapter_problems(card: TaskCard) -> Iterator[str]:
    if card.adapter and importlib.util.find_spec(f"stiltgrid.data.adapters.{card.adapter}") is None:
        there = [path.stem for path in (Path(__file__).parents[1] / "data" / "adapters").glob("[a-z]*.py")]
        yield f"adapter: no such module '{card.adapter}' in stiltgrid/data/adapters, {nearest(card.adapter, there)}"


def _conll_problems(card: TaskCard) -> Iterator[str]:
    """CoNLL files have the columns that `conll` names, and no others."""
    section = card.local or {}
    if card.adapter or "conll" not in section:
        return
    columns = section.get("columns") or {}
    there = [columns.get(name, name) for name in section["conll"]]
    for field, spec in card.fields.items():
        for column in sorted(columns_wanted(spec) - set(there)):
            yield f"local.conll: expected a column '{column}', which `fields.{field}` reads, found {', '.join(there)}"


def _stage_problems(card: TaskCard, cards: Mapping[str, TaskCard]) -> Iterator[str]:
    """A target is scored by the head of its last training stage, so the family and labels must be the same."""
    last = cards.get(card.train[-1]) if card.train else None
    if last and last.family != card.family:
        yield f"train: '{last.name}' is of family {last.family}, so its head cannot score a {card.family} task"
    elif last and last.family in ("sequence", "tagging") and last.labels != card.labels:
        theirs, ours = ", ".join(last.labels), ", ".join(card.labels)
        yield f"train: the labels of '{last.name}' ({theirs}) are not this card's ({ours})"
    # Choices are scored one by one, so their number may differ.


def hub_problems(card: TaskCard) -> list[str]:
    """Languages of a card for which the templates of its hub section have no value."""
    return [f"tasks/{card.name}.yaml: {problem}" for problem in _hub_problems(card)]


def _hub_problems(card: TaskCard) -> Iterator[str]:
    hub = card.hub or {}
    elsewhere = {language for part in hub.get("overrides", ()) for language in part["languages"]}
    parts = [("hub", hub, [language for language in card.languages if language not in elsewhere])]
    for number, part in enumerate(hub.get("overrides", ())):
        parts.append((f"hub.overrides[{number}]", part, part["languages"]))
    for place, part, languages in parts:
        templates = " ".join(_templates(part))
        without = [language for language in languages if language not in hub.get("codes", {})]
        for template in (template for template in _templates(part) if (problem := template_problem(template))):
            yield f"{place}: '{template}': {problem}"
        unknown = {name for template in _templates(part) for name in placeholders(template)} - {"language", "code"}
        if unknown:
            yield f"{place}: no such placeholder {{{min(unknown)}}}; expected {{language}} or {{code}}"
        if "{code}" in templates and without:
            yield f"{place}: uses {{code}}, but hub.codes has none for {', '.join(without)}"
        splits = part.get("splits", hub.get("splits", {}))
        lacking = [split for split in splits if split not in part["config"]] if _by_split(part) else []
        if lacking:
            yield f"{place}.config: expected configurations for every split, found none for {', '.join(lacking)}"
    without = [language for language in card.languages if language not in hub.get("prefix", {}).get("values", {})]
    if "prefix" in hub and without:
        yield f"hub.prefix.values: expected one for every language, found none for {', '.join(without)}"


def _templates(part: Mapping[str, Any]) -> list[str]:
    config = part.get("config", ())
    configs = config.values() if isinstance(config, Mapping) else [config]
    found = [name for item in configs for name in ([item] if isinstance(item, str) else item)]
    columns = [name for name in part.get("columns", {}) if "{" in name]
    return [*found, *part.get("data_files", {}).values(), *columns]


def _by_split(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("config"), Mapping)
