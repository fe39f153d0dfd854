"""Records of jobs that began and did not end, so that the next run repeats them.

Snakemake removes the outputs of a job that fails or is interrupted. If results that were made from an earlier version
of these outputs still exist, Snakemake considers them up to date, because intermediate files may be missing: after a
change of settings and a failed training, the old scores would count as scores of the new settings. So each job has a
record while it runs, and the target `all` asks for the missing outputs of every record that remains. It does not ask
for what is made by name only (exports, studies, selection): a failed upload must not become a part of every later run.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stiltgrid.grid import paths, recipes
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.target_caps import uncapped

SNAKEMAKE = Path(".snakemake")  # in the folder of the run
FOLDER = SNAKEMAKE / "stiltgrid_unfinished"
SELECTION = f"{paths.RESULTS}/selection"
BY_NAME = (f"{paths.RESULTS}/exports", f"{paths.RESULTS}/studies", SELECTION)  # folders of what `all` does not make


def begin(job: Any) -> Path | None:
    """Record a job that begins; None where it has no outputs, or no folder of Snakemake's to record it in."""
    outputs = [str(path) for path in getattr(job, "output", ())]
    if not outputs or not SNAKEMAKE.is_dir():
        return None
    record = FOLDER / f"{hashlib.sha256(outputs[0].encode()).hexdigest()[:32]}.json"
    wildcards = dict(job.wildcards.items()) if hasattr(job.wildcards, "items") else {}
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"outputs": outputs, "wildcards": wildcards}), encoding="utf-8")
    return record


def end(record: Path | None) -> None:
    """Remove the record of a job that has made its outputs."""
    if record is not None:
        record.unlink(missing_ok=True)


def outputs(grid: Grid, folder: str | None = None) -> list[str]:
    """The missing outputs of unfinished jobs that this grid still asks for, sorted.

    Those below `folder`; without one, all but those in the folders of what is made by name only.
    """
    found = []
    for path in FOLDER.glob("*.json") if FOLDER.is_dir() else ():
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if _is_part(grid, record["wildcards"]):
                found += [name for name in record["outputs"] if _is_below(name, folder) and not Path(name).exists()]
        except (OSError, ValueError, KeyError, TypeError):  # half-written by a job that was killed as it began
            path.unlink(missing_ok=True)
    return sorted(found)


def _is_below(name: str, folder: str | None) -> bool:
    path = Path(name)
    return path.is_relative_to(folder) if folder else not any(path.is_relative_to(other) for other in BY_NAME)


def _is_part(grid: Grid, wildcards: Mapping[str, str]) -> bool:
    """Whether a job of these wildcards belongs to the grid itself: not to a study, nor to another configuration."""
    asked = {*grid.intermediates, *map(uncapped, grid.intermediates)}  # a study's rows may end in @examples
    rows = {step for row in asked for step in grid.chain(row)}
    tasks = {task for row in rows for task in grid.recipe(row).tasks}
    tuned = {name for target in grid.targets if (name := grid.cards[target].tuned)}
    names = {
        "model": set(grid.own_models),
        "intermediate": rows,
        "target": set(grid.targets),
        "tuned": tuned,
        "task": tasks | {task for name in tuned for task in name.split("+")},
        "variant": {recipes.variant_of(grid, row, task).name for row in rows for task in grid.recipe(row).tasks},
        "seed": {str(seed) for seed in grid.seeds},
    }
    names["task"] |= names["variant"]
    # Raw text is a model's or a recipe's, in rows of some length.
    texts = {recipes.text_name(mlm) for row in rows if (mlm := grid.recipe(row).mlm) is not None}
    names["text"] = {*grid.own_models, *texts}
    return all(value in names[key] for key, value in wildcards.items() if key in names)
