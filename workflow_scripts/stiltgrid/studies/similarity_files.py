"""Where the vectors of study 1 are, and of which checkpoints and tasks they are made. Pure, read at parse."""

from collections.abc import Mapping
from typing import Any

from stiltgrid.grid.designs.similarity import MEASURES
from stiltgrid.grid.grid import NONE, Grid
from stiltgrid.grid.paths import RESULTS, intermediate_folder

Files = dict[str, dict[str, dict[str, dict[str, str]]]]


def vectors(view: Grid, section: Mapping[str, Any], folder: str) -> Files:
    """Model -> measure -> `rows` and `targets` -> name -> file. Targets without training have no Fisher vector."""
    rows = {name: view.recipe(name).tasks[0] for name in view.intermediates if name != NONE}
    found: Files = {}
    for model in view.models:
        found[model] = {}
        for measure in section.get("measures") or MEASURES:
            reader = section.get("encoder", model) if measure == "sentence" else model
            place = f"{folder}/{reader}/{measure}"
            if measure == "fisher":
                tuned = {name: view.cards[name].tuned for name in view.targets}
                found[model][measure] = {
                    "rows": {name: f"{place}/row/{name}.safetensors" for name in rows},
                    "targets": {name: f"{place}/target/{task}.safetensors" for name, task in tuned.items() if task},
                }
            else:
                found[model][measure] = {
                    "rows": {name: f"{place}/{task}/train.safetensors" for name, task in rows.items()},
                    "targets": {name: f"{place}/{name}/eval.safetensors" for name in view.targets},
                }
    return found


def flat(files: Files) -> list[str]:
    """Every file once."""
    return sorted(
        {file for model in files.values() for measure in model.values() for side in measure.values()
         for file in side.values()}
    )  # fmt: skip


def fisher_checkpoint(model: str, kind: str, name: str, seed: int) -> str:
    """A row's checkpoint, or the model that `none` was tuned to for a target."""
    if kind == "row":
        return intermediate_folder(model, name, seed)
    return f"{RESULTS}/tuned/{model}/{NONE}/{name}/seed{seed}"


def families(view: Grid) -> dict[str, str]:
    """Name of a row or a target -> its family."""
    rows = {name: view.cards[view.recipe(name).tasks[0]].family for name in view.intermediates if name != NONE}
    return {**{name: view.cards[name].family for name in view.targets}, **rows}
