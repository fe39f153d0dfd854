"""Expands the recipes of the configuration: templates are filled, `like` and `sequence` resolved."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stiltgrid.grid.grid import NONE, Recipe
from stiltgrid.grid.recipes import PLACE, THEN
from stiltgrid.utils.errors import nearest

MOST_STEPS = 50  # recipes that refer to each other; a template that refers to a longer name would go on for ever


def expand_recipes(
    section: Mapping[str, Mapping[str, Any]], asked: Iterable[str], tasks: Collection[str]
) -> tuple[dict[str, Recipe], list[str]]:
    """Recipes by name, and their problems. `asked` are the rows of the grid, `tasks` the names of all tasks.

    The result includes rows that match a template (`{row}+mlm`) and the unnamed first steps of chains.
    """
    expansion = _Expansion(section, tasks)
    for name in [name for name in section if PLACE not in name]:
        expansion.recipe(name, f"recipes.{name}")
    for name in asked:
        if name != NONE and name not in tasks and expansion.declared(name):
            expansion.recipe(name, "intermediates")
    return expansion.found, list(dict.fromkeys(expansion.problems))


class _Expansion:
    """Recipes expanded so far; recursion over `like` and `sequence` keeps the open names to find circles."""

    def __init__(self, section: Mapping[str, Mapping[str, Any]], tasks: Collection[str]) -> None:
        self.section, self.tasks = dict(section), tasks
        self.found: dict[str, Recipe] = {}
        self.problems: list[str] = []
        self._open: list[str] = []
        self._failed: set[str] = set()  # their problems are reported already

    def declared(self, name: str) -> Mapping[str, Any] | None:
        """The recipe that the configuration has for a row, by its name or by a template that matches it."""
        if name in self.section:
            return self.section[name]
        for template, recipe in self.section.items():
            match = _match(template, name)
            if match and (match["row"] in self.tasks or self.declared(match["row"]) is not None):
                filled: Mapping[str, Any] = _filled(recipe, match["row"])
                return filled
        return None

    def recipe(self, name: str, place: str) -> Recipe | None:
        """The expanded recipe of a row; None, with a problem at `place`, where there is none."""
        if name in self.found or name in self._failed:
            return self.found.get(name)
        if name in self.tasks and name not in self.section:
            return Recipe(name, (name,))
        declared = self.declared(name)
        if declared is None:
            valid = [*self.tasks, *(key for key in self.section if PLACE not in key)]
            self.problems.append(f"{place}: no task or recipe '{name}', {nearest(name, valid)}")
            return None
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            self.problems.append(f"recipes.{name}: goes in a circle: {circle}")
            return None
        if len(self._open) == MOST_STEPS:
            self.problems.append(
                f"recipes.{self._open[0]}: goes through more than {MOST_STEPS} recipes, the last {name}"
            )
            self._failed.add(name)
            return None
        self._open.append(name)
        made = self._chain(name, declared) if "sequence" in declared else self._plain(name, declared)
        self._open.pop()
        if made is None:
            self._failed.add(name)
        else:
            self.found[name] = made
        return made

    def _plain(self, name: str, declared: Mapping[str, Any]) -> Recipe | None:
        own = {key: value for key, value in declared.items() if key != "like" and value is not None}
        base: dict[str, Any] = {}
        if "like" in declared:
            other = self.recipe(declared["like"], f"recipes.{name}.like")
            if other is None:
                return None
            if other.after is not None:
                self.problems.append(
                    f"recipes.{name}.like: '{other.name}' is a chain; put this row into a chain instead"
                )
                return None
            base = {key: getattr(other, key) for key in Recipe.__dataclass_fields__ if key not in ("name", "base")}
        tasks = tuple(own.get("tasks", base.get("tasks", ())))
        top = own.pop("top", None)
        if top is not None and top > len(tasks):
            self.problems.append(
                f"recipes.{name}.top: expected at most {len(tasks)}, the tasks of the list, found {top}"
            )
        self._unknown(name, tasks)
        kept = tasks[:top]
        for key in ("languages", "data"):
            if key in own:
                own[key] = self._by_task(name, key, own[key], kept)
        if isinstance(own.get("examples"), Mapping):
            self._foreign(name, "examples", own["examples"], kept)
        if own.get("examples", base.get("examples")) is not None:
            own["upsample"] = bool(own.get("upsample", base.get("upsample")))
        return Recipe(**{**base, **own, "name": name, "tasks": kept})

    def _wrong(self, name: str, key: str, sentence: str) -> None:
        self.problems.append(f"recipes.{name}.{key}: {sentence}")

    def _unknown(self, name: str, tasks: Sequence[str]) -> None:
        for task in tasks:
            if task not in self.tasks:
                self._wrong(name, "tasks", f"no such task '{task}', {nearest(task, self.tasks)}")

    def _by_task(self, name: str, key: str, value: Any, tasks: Sequence[str]) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            return {task: tuple(value) if isinstance(value, list) else value for task in tasks}
        self._foreign(name, key, value, tasks)
        return {task: tuple(item) if isinstance(item, list) else item for task, item in value.items()}

    def _foreign(self, name: str, key: str, value: Mapping[str, Any], tasks: Sequence[str]) -> None:
        for task in value:
            if task not in tasks:
                self._wrong(name, key, f"'{task}' is not among its tasks, {nearest(task, tasks)}")

    def _chain(self, name: str, declared: Mapping[str, Any]) -> Recipe | None:
        extra = [key for key, value in declared.items() if key != "sequence" and value is not None]
        if extra:
            self._wrong(name, extra[0], "a chain has no other key; set it in a step")
        steps: list[str] = []
        for step in declared["sequence"]:
            if step == NONE:
                self._wrong(name, "sequence", "'none' is not a step; leave it out")
                return None
            if self.recipe(step, f"recipes.{name}.sequence") is None:
                return None
            steps += self._steps(step)
        return self._joined(name, steps)

    def _steps(self, name: str) -> list[str]:
        """The steps of a row, which may be a chain itself."""
        recipe = self.found.get(name)
        if recipe is None or recipe.after is None:
            return [name]
        return [*self._steps(recipe.after), recipe.base or name]

    def _joined(self, name: str, steps: Sequence[str]) -> Recipe:
        """The recipe of a chain: its last step, after the row of the steps before, which is named if it has no name."""
        *before, last = steps
        rest = before[0] if len(before) == 1 else self._named(before)
        own = self.found.get(last) or Recipe(last, (last,))
        return replace(own, name=name, after=rest, base=last)

    def _named(self, steps: Sequence[str]) -> str:
        for name, recipe in self.section.items():
            # Shared with a recipe whose sequence is written as these steps. A nested chain is found by its own name.
            if list(recipe.get("sequence") or ()) == list(steps) and name not in self._open:
                self.recipe(name, f"recipes.{name}")
                return name
        name = THEN.join(steps)
        if name not in self.found:
            self.found[name] = self._joined(name, steps)
        return name


def _match(template: str, name: str) -> re.Match[str] | None:
    """The row that a name has in place of every {row} of a template."""
    if PLACE not in template:
        return None
    first, *rest = re.escape(template).split(re.escape(PLACE))
    return re.fullmatch(first + "(?P<row>.+)" + "(?P=row)".join(rest), name)


def _filled(value: Any, row: str) -> Any:
    if isinstance(value, str):
        return value.replace(PLACE, row)
    if isinstance(value, Mapping):
        return {key: _filled(item, row) for key, item in value.items()}
    return [_filled(item, row) for item in value] if isinstance(value, list) else value
