"""Study 5, question answering for retrieval: rows of question answering, and controls of the same size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, row_problems, unknown
from stiltgrid.grid.grid import NONE, Grid, Plan, Recipe, mixture_name
from stiltgrid.grid.recipes import native_languages

KINDS = ("english", "multilingual", "controls")
MATCHED = ("matched_english", "matched_multilingual")
FAMILIES = ("embedding", "dual")
TRAINED_ON = "mewslix"


def groups(section: Mapping[str, Any], grid: Grid) -> dict[str, tuple[str, ...]]:
    """Kind of row -> names of its rows in the grid; with `examples`, a task is a mixture of itself alone.

    `matched_english` and `matched_multilingual` are pairs in order: the same task and number of examples, in English
    and in several languages. The English row of a task is made for the study, that of a recipe is named under
    `matched`.
    """
    found = {kind: tuple(_row(name, section, grid) for name in section.get(kind, ())) for kind in KINDS}
    found["multilingual"] = tuple(own for own, _ in _multilingual(section, grid))
    matched = section.get("matched", {})
    pairs = [
        (_row(matched.get(name, name), section, grid), own)
        for name, own in zip(section.get("multilingual", ()), found["multilingual"], strict=True)
        if name in matched or name not in grid.recipes
    ]
    return {**found, **{kind: tuple(pair[place] for pair in pairs) for place, kind in enumerate(MATCHED)}}


def _multilingual(section: Mapping[str, Any], grid: Grid) -> Iterator[tuple[str, Recipe]]:
    """Name and recipe of each multilingual row: a recipe of the grid, or a task in all its languages."""
    budget = section.get("examples")
    for name in section.get("multilingual", ()):
        if name in grid.recipes:
            yield name, grid.recipes[name]
            continue
        own = "_".join(["all_languages", *([f"v{budget}"] if budget else []), name])
        languages = {name: native_languages(grid.cards[name], grid.source) or ()}
        yield own, Recipe(own, (name,), sampling="uniform", examples=budget, languages=languages)


def _row(name: str, section: Mapping[str, Any], grid: Grid) -> str:
    if name in grid.recipes or section.get("examples") is None:
        return name
    return mixture_name([name], section["examples"])


def targets(section: Mapping[str, Any], grid: Grid) -> tuple[str, ...]:
    """The retrieval tasks of the section; by default all retrieval tasks among the grid's targets."""
    return tuple(section.get("targets") or (name for name in grid.targets if grid.cards[name].family in FAMILIES))


def trained_on(section: Mapping[str, Any], grid: Grid) -> str | None:
    """The task whose tuned models score targets without training; None where it is not a target of the study."""
    name = section.get("trained_on", TRAINED_ON)
    return name if name in targets(section, grid) else None


def problems(section: Mapping[str, Any], grid: Grid, names: Sequence[str]) -> Iterator[str]:
    """What a schema cannot say of the section."""
    yield from unknown("models", section.get("models", ()), grid.models, "model")
    for kind in KINDS:
        yield from row_problems(kind, section.get(kind, ()), grid, names)
    yield from unknown("matched", section.get("matched", {}), section.get("multilingual", ()), "row of `multilingual`")
    yield from row_problems("matched", section.get("matched", {}).values(), grid, names)
    yield from unknown("targets", section.get("targets", ()), names, "task")
    for name in section.get("targets", ()):
        if name in grid.cards and grid.cards[name].family not in FAMILIES:
            family, known = grid.cards[name].family, " or ".join(FAMILIES)
            yield f"targets: '{name}' is of family {family}; expected retrieval ({known})"
    for name in section.get("multilingual", ()):
        if name in grid.cards and name not in grid.recipes and not _is_multilingual(grid, name):
            yield (
                f"multilingual: '{name}' has training rows in one language, or its languages depend on the files; "
                "name a recipe with `languages`"
            )
    if not targets(section, grid):
        yield "targets: the grid has no retrieval task; name some, such as tatoeba or mewslix"
    asked = section.get("trained_on")
    if asked is not None and (asked not in targets(section, grid) or not grid.cards[asked].train):
        yield f"trained_on: expected a target of this study that is trained, found '{asked}'"


def _is_multilingual(grid: Grid, name: str) -> bool:
    return len(native_languages(grid.cards[name], grid.source) or ()) > 1


def plan(section: Mapping[str, Any], grid: Grid) -> Plan:
    """`none` and the rows of every kind, on the retrieval targets."""
    rows = [name for kind in groups(section, grid).values() for name in kind]
    return Plan(
        models=chosen(section, "models", grid.own_models),
        intermediates=(NONE, *dict.fromkeys(rows)),
        targets=targets(section, grid),
        seeds=chosen(section, "seeds", grid.seeds),
        recipes={name: recipe for name, recipe in _multilingual(section, grid) if name not in grid.recipes},
    )


DESIGN = Design(problems, plan)
