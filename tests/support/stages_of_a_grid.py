"""A small grid on the fixtures, stage by stage through the stages' own entry points, without Snakemake."""

import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from stiltgrid.data.sources import open_source
from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.evaluation.scoring import ScoringSettings, score_target
from stiltgrid.grid.cards import card_from_view, card_view
from stiltgrid.grid.grid import Evaluation, Grid, Model
from stiltgrid.grid.params import as_params, from_params
from stiltgrid.preparation.encode import encode_file
from stiltgrid.preparation.prepare import prepare_eval, prepare_train
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_target

ROOT = Path(__file__).parents[2]
MIRROR = "tests/data/mirror"


@dataclass(frozen=True)
class Rows:
    """The grid's cards and canonical rows, which no model changes."""

    grid: Grid
    folder: Path


def prepared(grid: Grid, folder: Path) -> Rows:
    """Canonical rows of all that the grid trains on and scores, from its mirror."""
    source = open_source("local", str(ROOT / str(grid.data_dir)))
    for task in grid.trained_tasks():
        card, origins = grid.cards[task], grid.origin_cards(task)
        (folder / task).mkdir()
        train, dev = folder / task / "train.parquet", folder / task / "dev.parquet"
        prepare_train(card, origins, card.train_languages, source, train, dev)
    for target in grid.targets:
        card, path = grid.cards[target], folder / target / "eval.parquet"
        path.parent.mkdir(exist_ok=True)
        splits = grid.eval_splits(target)
        prepare_eval(card, grid.origin_cards(target), card.languages, splits, source, Evaluation(), path)
    return Rows(grid, folder)


def encoded(rows: Rows, model: Path, out: Path, task: str, split: str) -> str:
    card, path = rows.grid.cards[task], out / task / f"{split}.arrow"
    if not path.is_file():
        part = card_from_view(card_view(card, "encode"))
        source = rows.folder / task / f"{split}.parquet"
        encode_file(part, source, model / "tokenizer", path, 96, split == "train", model / "backbone")
    return str(path)


def stage(rows: Rows, model: Path, out: Path, kind: str, task: str) -> dict:
    return {
        "card": card_view(rows.grid.cards[task], "train"),
        "settings": as_params(rows.grid.training_for(kind, task)),
        "train": encoded(rows, model, out, task, "train"),
        "train_rows": str(rows.folder / task / "train.parquet"),
        "dev": encoded(rows, model, out, task, "dev"),
        "dev_rows": str(rows.folder / task / "dev.parquet"),
    }


def tuned(rows: Rows, model: Path, out: Path, settings: Mapping, checkpoint: Path, target: str) -> Path:
    """The checkpoint that a target is scored from: fine-tuned where the target has training."""
    card = rows.grid.cards[target]
    if not card.train:
        return checkpoint
    stages = [stage(rows, model, out, "target", task) for task in card.train]
    folder = out / "tuned" / target
    train_target(TrainingPaths(checkpoint, model / "tokenizer", folder), TrainingJob(settings, stages, seed=1))
    return folder


def scored(
    rows: Rows,
    model: Path,
    out: Path,
    settings: Mapping,
    checkpoint: Path,
    target: str,
    batch_tokens: int,
    cell: Mapping = types.MappingProxyType({"seed": 1}),
) -> tuple[list, pa.Table]:
    """Scores and predictions of a cell."""
    card = rows.grid.cards[target]
    head = card_from_view(card_view(rows.grid.cards[card.train[-1]], "train")) if card.train else None
    metrics, predictions = out / f"{target}.json", out / f"{target}.parquet"
    eval_rows = rows.folder / target / "eval.parquet"
    paths = EvaluationPaths(checkpoint, model / "tokenizer", encoded(rows, model, out, target, "eval"), eval_rows)
    view = card_from_view(card_view(card, "score"))
    scoring = ScoringSettings(from_params(Model, settings), view, head, dict(cell), batch_tokens)
    score_target(paths, scoring, metrics, predictions)
    return json.loads(metrics.read_text())["scores"], pq.read_table(predictions)
