"""Study 5, question answering for retrieval: rows of question answering, and controls of the same size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.grid.designs import Design
from stiltgrid.grid.designs.checks import chosen, row_problems, unknown
from stiltgrid.grid.grid import NONE, Grid, Plan, Recipe, mixture_name
from stiltgrid.grid.recipes import codes, native_languages

KINDS = ("english", "multilingual", "controls")
SINGLE = "single"
# Kind of row in other languages -> the groups of its rows that have a twin in English, and of these twins.
MATCHED = {
    "multilingual": ("matched_multilingual", "matched_english"),
    SINGLE: ("matched_single", "matched_single_english"),
}
FAMILIES = ("embedding", "dual")
TRAINED_ON = "mewslix"
ENGLISH, TRANSLATIONS = "en", "translate_train"


def groups(section: Mapping[str, Any], grid: Grid) -> dict[str, tuple[str, ...]]:
    """Kind of row -> names of its rows in the grid; with `examples`, a task is a mixture of itself alone.

    `single` are rows of translations in one language other than English. The groups of `MATCHED` are pairs in order:
    the same task and number of examples in other languages and in English. The English row of a task is made for the
    study, that of a recipe is named under `matched`.
    """
    found = {kind: tuple(_row(name, section, grid) for name in section.get(kind, ())) for kind in KINDS}
    native, translated = list(_native(section, grid)), list(_translated(section))
    matched = section.get("matched", {})
    twins = {
        own: _row(matched.get(name, name), section, grid)
        for name, (own, _) in zip(section.get("multilingual", ()), native, strict=True)
        if name in matched or name not in grid.recipes
    }
    twins |= {own: _row(recipe.tasks[0], section, grid) for own, recipe in translated}
    found["multilingual"] = tuple(own for own, _ in native)
    found["multilingual"] += tuple(own for own, recipe in translated if not _is_single(recipe))
    found[SINGLE] = tuple(own for own, recipe in translated if _is_single(recipe))
    for kind, (rows, english) in MATCHED.items():
        found[rows] = tuple(own for own in found[kind] if own in twins)
        found[english] = tuple(twins[own] for own in found[rows])
    return found


def _is_single(recipe: Recipe) -> bool:
    """Whether a row of translations is of one language."""
    return any(len(languages) == 1 for languages in (recipe.languages or {}).values())


def _native(section: Mapping[str, Any], grid: Grid) -> Iterator[tuple[str, Recipe]]:
    """Name and recipe of each row under `multilingual`: a recipe of the grid, or a task in all its languages."""
    budget = section.get("examples")
    for name in section.get("multilingual", ()):
        if name in grid.recipes:
            yield name, grid.recipes[name]
            continue
        own = "_".join(["all_languages", *([f"v{budget}"] if budget else []), name])
        languages = {name: native_languages(grid.cards[name], grid.source) or ()}
        yield own, Recipe(own, (name,), sampling="uniform", examples=budget, languages=languages)


def _translated(section: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    """Name and recipe of each row of translations: mixed with English, then of each language alone."""
    budget = section.get("examples")
    for task, languages in section.get("translated", {}).items():
        for spoken in dict.fromkeys(((ENGLISH, *languages), *((code,) for code in languages))):
            volume = [f"v{budget}"] if budget else []
            own = "_".join(["translated", codes(spoken), *volume, task])
            yield own, Recipe(own, (task,), sampling="uniform", examples=budget, languages={task: spoken},
                              data={task: TRANSLATIONS})  # fmt: skip


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
    yield from unknown("translated", section.get("translated", {}), names, "task")
    for task, languages in section.get("translated", {}).items():
        if ENGLISH in languages:
            yield f"translated.{task}: expected languages other than {ENGLISH}, which the mixed row has anyway"
        if task in grid.recipes:
            yield f"translated.{task}: '{task}' is a recipe here; expected a task"
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
        recipes={
            name: recipe
            for name, recipe in (*_native(section, grid), *_translated(section))
            if name not in grid.recipes
        },
    )


DESIGN = Design(problems, plan)
