"""The section `selection`: which rows are chosen for which targets, within which budget, and what low fidelity means.

Read while Snakemake parses, so nothing heavy is imported. The section is checked when a selection is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stiltgrid.grid.grid import NONE, Grid, TrainingSettings
from stiltgrid.grid.recipes import row_settings
from stiltgrid.utils.errors import nearest

FULL, LOW = "full", "low"
ROUNDS = 4
BUDGET = 0.1
CAPPED = ("examples", "max_steps", "epochs")
GROUPED = ("language", "family", "script")


@dataclass(frozen=True)
class Selection:
    """A checked section. `budget` is a share of the grid's cost; `by` groups languages for choices of their own.

    `low_target` and `low_intermediate` cap settings of the two stages at low fidelity; None where it does not.
    """

    targets: tuple[str, ...]
    budget: float = BUDGET
    prior: tuple[str, ...] = ()
    low_target: Mapping[str, float] | None = None
    low_intermediate: Mapping[str, float] | None = None
    by: tuple[str, ...] = ()

    @property
    def has_low(self) -> bool:
        """Whether there is a low fidelity."""
        return bool(self.low_target or self.low_intermediate)


def selection_of(section: Mapping[str, Any], grid: Grid) -> Selection:
    """The selection that a section without problems describes."""
    fidelity = section.get("fidelity") or {}
    return Selection(
        targets=tuple(section.get("targets") or grid.targets),
        budget=float(section.get("budget", BUDGET)),
        prior=tuple(section.get("prior", ())),
        low_target=fidelity.get("target") or None,
        low_intermediate=fidelity.get("intermediate") or None,
        by=tuple(section.get("by", ())),
    )


def selection_problems(section: Mapping[str, Any], grid: Grid, root: Path) -> Iterator[str]:
    """What the schema cannot say: targets and files that must exist, rows to choose from, caps that cap nothing."""
    for name in section.get("targets") or ():
        if name not in grid.targets:
            yield f"selection.targets: '{name}' is no target of the grid, {nearest(name, grid.targets)}"
    if len(grid.intermediates) < 3:
        found = ", ".join(grid.intermediates)
        yield f"selection: expected three rows at least to choose from, found {len(grid.intermediates)} ({found})"
    for number, name in enumerate(section.get("prior", ())):
        path = prior_path(name, root)
        if not path.is_file():
            others = [str(item.name) for item in path.parent.glob("*")] if path.parent.is_dir() else []
            hint = nearest(path.name, others) if others else f"there is no folder {path.parent}"
            yield f"selection.prior[{number}]: no file {name}; {hint}"
        elif path.suffix not in (".parquet", ".tsv"):
            yield f"selection.prior[{number}]: expected a .parquet or .tsv table, found {name}"
    yield from _caps(section.get("fidelity") or {}, grid)


def _caps(fidelity: Mapping[str, Mapping[str, float]], grid: Grid) -> Iterator[str]:
    tasks = {
        "target": {task for name in grid.targets if name in grid.cards for task in grid.cards[name].train},
        "intermediate": {task for row in grid.intermediates for task in grid.recipe(row).tasks},
    }
    for stage, caps in fidelity.items():
        if caps and not any(_capped(grid.training_for(stage, task), caps) for task in tasks[stage]):
            yield f"selection.fidelity.{stage}: no task of the {stage} stage has more than this, so nothing is lower"


def kinds_of_tasks(grid: Grid, selection: Selection) -> tuple[list[list[str]], list[list[str]]]:
    """Families of the tasks that each row trains, steps of chains included, and of those that each target is tuned on.

    A task without a card, such as language modelling, is of no target's kind and has its own name.
    """

    def family(task: str) -> str:
        return grid.cards[task].family if task in grid.cards else task

    rows = [
        [family(task) for step in grid.chain(row) for task in grid.recipe(step).tasks] for row in grid.intermediates
    ]
    return rows, [[family(task) for task in grid.cards[target].train] for target in selection.targets]


def prior_path(name: str, root: Path) -> Path:
    """A table of an earlier grid; relative names start at the folder of the run, else at that of the Snakefile."""
    path = Path(name).expanduser()
    return path if path.is_absolute() or path.exists() else root / path


def _capped(settings: TrainingSettings, caps: Mapping[str, float]) -> dict[str, float]:
    """The caps that are below a setting, or where there is none."""
    return {key: cap for key, cap in caps.items() if (own := getattr(settings, key)) is None or cap < own}


def low_fidelity(grid: Grid, selection: Selection) -> Grid:
    """The grid with the settings of low fidelity. Rows of the stage that is not capped stay as they are."""
    tasks: dict[str, dict[str, dict[str, Any]]] = {}

    def cap(name: str, stage: str, settings: TrainingSettings, caps: Mapping[str, float]) -> None:
        known = grid.training.get("tasks", {}).get(name, {})
        own = tasks.setdefault(name, {key: dict(value) for key, value in known.items()})
        own[stage] = {**own.get(stage, {}), **_capped(settings, caps)}

    for target in selection.targets if selection.low_target else ():
        for task in grid.cards[target].train:
            cap(task, "target", grid.training_for("target", task), selection.low_target or {})
    for row in grid.intermediates if selection.low_intermediate else ():
        recipe = grid.recipe(row)
        for task in recipe.tasks:
            cap(task, "intermediate", grid.training_for("intermediate", task), selection.low_intermediate or {})
        if row != NONE and row not in grid.cards:
            cap(row, "intermediate", row_settings(grid, row), selection.low_intermediate or {})
    training = {**grid.training, "tasks": {**grid.training.get("tasks", {}), **tasks}}
    return replace(grid, training=training)


def low_rows(grid: Grid, selection: Selection) -> Sequence[str]:
    """Rows with an intermediate training of low fidelity; a chain starts from its ordinary checkpoint."""
    if not selection.low_intermediate:
        return ()
    return tuple(row for row in grid.intermediates if row != NONE and grid.recipe(row).after is None)
