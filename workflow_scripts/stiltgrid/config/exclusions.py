"""`without`: tasks that are left out everywhere, with the rows, targets and studies' lists that need them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid, Recipe
from stiltgrid.utils.errors import nearest


def exclude_tasks(grid: Grid, without: Sequence[str], names: Collection[str]) -> tuple[Grid, list[str], list[str]]:
    """The grid without some tasks, problems, and remarks about what went with them. `names` are all tasks.

    A task goes from mixtures, chains, the training stages of targets and the lists of studies. A mixture that loses
    all of its tasks goes too, and so do a chain that is left with one step, a task made of left-out rows only, and a
    target that is left without training.
    """
    problems = [f"without: no such task '{name}', {nearest(name, names)}" for name in without if name not in names]
    if problems or not without:
        return grid, problems, []
    gone, cards = _remaining_cards(grid.cards, without)
    rows = _Rows(grid.recipes, gone)
    intermediates = tuple(name for name in grid.intermediates if rows.remains(name))
    targets = tuple(name for name in grid.targets if name not in gone and not _lost_training(grid, cards, name))
    kept = replace(
        grid,
        cards=cards,
        recipes=rows.recipes(),
        intermediates=intermediates,
        targets=targets,
        studies={name: _section(section, gone, rows) for name, section in grid.studies.items()},
        selection=_selected(grid.selection, set(grid.targets) - set(targets)),
    )
    problems = [
        f"without: nothing is left of {key}, which has only {', '.join(getattr(grid, key))}"
        for key in ("intermediates", "targets")
        if getattr(grid, key) and not getattr(kept, key)
    ]
    return kept, problems, [_remark(grid, kept, without)]


def _selected(section: Mapping[str, Any] | None, gone: Collection[str]) -> Mapping[str, Any] | None:
    """The section `selection` without targets that go; of none, it is about all that remain."""
    if not section or "targets" not in section:
        return section
    return {**section, "targets": [name for name in section["targets"] if name not in gone]}


def _remaining_cards(cards: Mapping[str, TaskCard], without: Sequence[str]) -> tuple[set[str], dict[str, TaskCard]]:
    """The tasks that go, those made of their rows only among them, and the cards without references to them."""
    gone = set(without)
    while more := {
        name
        for name, card in cards.items()
        if name not in gone and card.rows.get("train") and set(card.rows["train"]) <= gone
    }:
        gone |= more
    kept = {}
    for name, card in cards.items():
        rows = {
            split: tuple(origin for origin in origins if origin not in gone) for split, origins in card.rows.items()
        }
        train = card.train if name in gone else tuple(task for task in card.train if task not in gone)
        kept[name] = replace(card, train=train, rows={split: origins for split, origins in rows.items() if origins})
    return gone, kept


def _lost_training(grid: Grid, cards: Mapping[str, TaskCard], target: str) -> bool:
    return target in cards and bool(grid.cards[target].train) and not cards[target].train


class _Rows:
    """The rows that remain of a grid's recipes when some tasks are left out."""

    def __init__(self, recipes: Mapping[str, Recipe], gone: Collection[str]) -> None:
        self._recipes, self._gone = recipes, gone

    def remains(self, name: str) -> bool:
        """Whether something of a row is left that is not just one step of a chain, a row by its own name."""
        left = self._left(name)
        return left is not None and (left.name == name or left.after is not None)

    def recipes(self) -> dict[str, Recipe]:
        """The recipes that remain, without the tasks that go."""
        found = {name: self._left(name) for name in self._recipes if self.remains(name)}
        return {name: replace(recipe, name=name) for name, recipe in found.items() if recipe is not None}

    def _left(self, name: str) -> Recipe | None:
        """What is left of a row: its recipe without the tasks that go; of a chain, one step or the rest of it."""
        recipe = self._recipes.get(name)
        if recipe is None:
            return None if name in self._gone else Recipe(name, (name,))
        if recipe.after is None:
            return self._reduced(recipe)
        before, last = self._left(recipe.after), self._left(recipe.base or name)
        if before is None or last is None:
            return before or last
        return replace(self._reduced(recipe) or recipe, after=before.name)

    def _reduced(self, recipe: Recipe) -> Recipe | None:
        tasks = tuple(task for task in recipe.tasks if task not in self._gone)
        if recipe.tasks and not tasks:
            return None
        by_task = {
            key: {task: value for task, value in getattr(recipe, key).items() if task not in self._gone}
            for key in ("examples", "languages", "data")
            if isinstance(getattr(recipe, key), Mapping)
        }
        return replace(recipe, tasks=tasks, **by_task)  # type: ignore[arg-type]


def _section(section: Mapping[str, Any], gone: Collection[str], rows: _Rows) -> dict[str, Any]:
    """A study's section without the tasks and rows that go, in lists and in mappings by task."""
    kept: dict[str, Any] = {}
    for key, value in section.items():
        if key == "targets":
            kept[key] = [name for name in value if name not in gone]
        elif key in ("tasks", "intermediates", "english", "multilingual", "controls"):
            kept[key] = [name for name in value if name not in gone and rows.remains(name)]
        elif key in ("chance", "best", "translated"):
            kept[key] = {name: item for name, item in value.items() if name not in gone}
        else:
            kept[key] = value
    return kept


def _remark(grid: Grid, kept: Grid, without: Sequence[str]) -> str:
    rows = [name for name in grid.intermediates if name not in kept.intermediates]
    columns = [name for name in grid.targets if name not in kept.targets]
    fewer = [name for name in kept.intermediates if len(kept.recipe(name).tasks) < len(grid.recipe(name).tasks)]
    changed = [name for name in kept.trained_tasks() if kept.cards[name].rows != grid.cards[name].rows]
    parts = {
        "rows left out": rows,
        "targets left out": columns,
        "rows with fewer tasks": fewer,
        "tasks with fewer examples": changed,
    }
    consequences = [f"{what}: {', '.join(names) or 'none'}" for what, names in parts.items()]
    return f"without {', '.join(without)}: {'; '.join(consequences)}"
