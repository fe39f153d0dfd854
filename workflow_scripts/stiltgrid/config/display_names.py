"""Display names of cards, models and recipes, and the configuration's `figures`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stiltgrid.grid.display import Display
from stiltgrid.grid.grid import Grid

TITLE = "title"


@dataclass(frozen=True)
class Titles:
    """The `title` of models and of recipes, by name."""

    models: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, str] = field(default_factory=dict)


def titles_in(section: Any) -> dict[str, str]:
    """Name -> `title`, of models or recipes. Read before `like` is resolved, so that none has the title of another."""
    if not isinstance(section, Mapping):
        return {}
    return {name: part[TITLE] for name, part in section.items() if isinstance(part, Mapping) and part.get(TITLE)}


def all_titles(config: Mapping[str, Any]) -> Titles:
    """The titles of the configuration's recipes and models, and of models that only a study has."""
    found = titles_in(config.get("models"))
    studies = config.get("studies")
    for study in studies.values() if isinstance(studies, Mapping) else ():
        if isinstance(study, Mapping):
            found |= titles_in(study.get("own_models"))
    return Titles(found, titles_in(config.get("recipes")))


def title_problems(titles: Titles) -> list[str]:
    """Titles that would name nothing: a template makes several rows, which would all be called the same."""
    return [
        f"recipes.{name}.title: a template has no title, since it makes several rows; found '{title}'"
        for name, title in titles.recipes.items()
        if "{row}" in name
    ]


def without_titles(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration whose models and recipes have no titles: what jobs read of them must not depend on these."""
    plain = dict(config)
    for section in ("models", "recipes"):
        if section in plain:
            plain[section] = _untitled(plain[section])
    if "studies" in plain:
        plain["studies"] = {
            name: {**study, "own_models": _untitled(study["own_models"])} if "own_models" in (study or {}) else study
            for name, study in plain["studies"].items()
        }
    return plain


def _untitled(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {key: item for key, item in part.items() if key != TITLE} for name, part in section.items()}


def grid_display(
    grid: Grid, cards: Mapping[str, Mapping[str, str]], titles: Titles, figures: Mapping[str, bool]
) -> Display:
    """Names of the tasks, recipes and models of a grid and its studies. `cards` has each card's `display` section."""
    rows = {task for row in grid.all_intermediates for task in (row, *grid.recipe(row).tasks)}
    recipes = {row: str(titles.recipes[row]) for row in sorted(grid.all_intermediates) if row in titles.recipes}
    names = sorted(rows.union(grid.all_targets).intersection(cards))
    return Display(
        tasks={name: cards[name]["name"] for name in names if "name" in cards[name]} | recipes,
        metrics={name: cards[name]["metric"] for name in sorted(grid.all_targets) if "metric" in cards.get(name, {})},
        models={name: str(titles.models[name]) for name in sorted(grid.models) if name in titles.models},
        banner=figures.get("banner", True),
        footer=figures.get("footer", True),
    )
