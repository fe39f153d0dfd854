"""What the results page reads of a grid besides its tables and predictions: rows, training logs, facts of cards."""

import hashlib
from pathlib import Path
from typing import Any

from stiltgrid.grid import paths
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import NONE, Grid, Model

PAGE = f"{paths.RESULTS}/index.html"
LOG = "log.jsonl"
SELECTION = f"{paths.RESULTS}/selection/selection.tsv"


def training_logs(grid: Grid) -> list[tuple[str, str, str, int, str]]:
    """Model, row, tuned model (empty for the row's own training), seed and path of every training log that is kept.

    Logs of tuned models are deleted with them where `keep_tuned` is false, so they are not among these.
    """
    rows = dict.fromkeys(step for row in grid.intermediates for step in grid.chain(row) if step != NONE)
    targets = dict.fromkeys(tuned for name in grid.targets if (tuned := grid.cards[name].tuned))
    found: list[tuple[str, str, str, int, str]] = []
    for model in grid.own_models:
        for seed in grid.seeds:
            for row in rows:
                folder = paths.intermediate_folder(model, row, seed)
                found.append((model, row, "", seed, f"{folder}/{LOG}"))
            for row in grid.intermediates if grid.keep_tuned else ():
                folder = f"{paths.RESULTS}/tuned/{model}/{row}"
                found += [(model, row, tuned, seed, f"{folder}/{tuned}/seed{seed}/{LOG}") for tuned in targets]
    return found


def log_paths(grid: Grid) -> list[str]:
    """The files of `training_logs`."""
    return [line[-1] for line in training_logs(grid)]


def row_paths(grid: Grid) -> list[str]:
    """The canonical rows of every target, in the order of the targets."""
    return [f"{paths.RESULTS}/data/{target}/eval.parquet" for target in grid.targets]


def selection_answer() -> str:
    """The answer of `snakemake select`, empty where there is none: the page shows it, but never asks for one."""
    return SELECTION if Path(SELECTION).is_file() else ""


def selection_digest() -> str:
    """What changes when that answer does."""
    found = selection_answer()
    return hashlib.sha256(Path(found).read_bytes()).hexdigest()[:16] if found else ""


def facts(grid: Grid) -> dict[str, Any]:
    """What the page says of targets, models and rows, as plain containers."""
    return {
        "source": grid.source,
        "keep_tuned": grid.keep_tuned,
        "targets": {name: _target(grid.cards[name], grid.source) for name in grid.targets},
        "models": {name: _origin(grid.models[name]) for name in grid.own_models},
        "chains": {row: list(grid.chain(row)) for row in grid.intermediates},
    }


def _target(card: TaskCard, source: str) -> dict[str, Any]:
    return {
        "family": card.family,
        "labels": list(card.labels),
        "about": card.about,
        "tuned": card.tuned or "",
        "origin": _rows(card, source),
    }


def _rows(card: TaskCard, source: str) -> str:
    kind, section = card.section(source), card.source(source) or {}
    if kind == "hub":
        licence = f", licence {card.licence}" if card.licence else ""
        return f"{section['path']} at {section['revision']}{licence}"
    return "mini-lab" if kind == "minilab" else "local files"


def _origin(model: Model) -> str:
    if model.hub:
        return f"{model.hub} at {model.revision}"
    return f"folder {model.path}" if model.path else "pretrained in this grid"
