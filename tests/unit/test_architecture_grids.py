"""Each kind of backbone goes through a whole small grid, one target of each family, by the stages' own entry points."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from architectures import KINDS, write_folder
from stiltgrid.cards import Evaluation, Grid, as_params
from stiltgrid.door import load_grid
from stiltgrid.encode import encode_file
from stiltgrid.models import fetch_model
from stiltgrid.parts import card_from_part, card_part, model_part
from stiltgrid.prepare import prepare_eval, prepare_train
from stiltgrid.scoring import score_target
from stiltgrid.sources import open_source
from stiltgrid.training import train_intermediate, train_target

ROOT = Path(__file__).parents[2]
MIRROR = "tests/data/mirror"
TARGETS = {"xnli": "sequence", "udpos": "tagging", "xquad": "span", "xcopa": "choice", "tatoeba": "embedding",
           "lareqa": "dual"}  # fmt: skip
CONFIG = {
    "source": "local",
    "data_dir": MIRROR,
    "intermediates": ["none", "mnli"],
    "targets": list(TARGETS),
    "seeds": [1],
    "tasks": {
        "xnli": {"languages": ["en", "zh"]}, "udpos": {"languages": ["en", "zh"]}, "xquad": {"languages": ["en", "de"]},
        "xcopa": {"languages": ["zh", "sw"]}, "tatoeba": {"languages": ["zh"]}, "lareqa": {"languages": ["en", "zh"]},
    },
    "training": {"all": {"max_steps": 2, "batch_size": 3, "learning_rate": 0.01, "micro_batch_tokens": 400}},
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """The grid's cards and canonical rows, which no model changes."""

    grid: Grid
    folder: Path


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write_folder("xlm-roberta", folder / "model")
    grid = load_grid({**CONFIG, "models": {"any": {"path": str(folder / "model")}}}, ROOT)
    source = open_source("local", str(ROOT / MIRROR))
    for task in grid.trained_tasks():
        card, origins = grid.cards[task], grid.origin_cards(task)
        (folder / task).mkdir()
        train, dev = folder / task / "train.parquet", folder / task / "dev.parquet"
        prepare_train(card, origins, card.train_languages, source, train, dev)
    for target in TARGETS:
        card, path = grid.cards[target], folder / target / "eval.parquet"
        path.parent.mkdir(exist_ok=True)
        splits = grid.eval_splits(target)
        prepare_eval(card, grid.origin_cards(target), card.languages, splits, source, Evaluation(), path)
    return Rows(grid, folder)


def encoded(rows: Rows, model: Path, out: Path, task: str, split: str) -> str:
    card, path = rows.grid.cards[task], out / task / f"{split}.arrow"
    if not path.is_file():
        part = card_from_part(card_part(card, "encode"))
        source = rows.folder / task / f"{split}.parquet"
        encode_file(part, source, model / "tokenizer", path, 96, split == "train", model / "backbone")
    return str(path)


def stage(rows: Rows, model: Path, out: Path, kind: str, task: str) -> dict:
    return {
        "card": card_part(rows.grid.cards[task], "train"),
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
    train_target(checkpoint, model / "tokenizer", stages, settings, 1, 1, out / "tuned" / target, {})
    return out / "tuned" / target


def scored(
    rows: Rows, model: Path, out: Path, settings: Mapping, checkpoint: Path, target: str, batch_tokens: int
) -> tuple[list, pa.Table]:
    """Scores and predictions of a cell."""
    card = rows.grid.cards[target]
    head = card_part(rows.grid.cards[card.train[-1]], "train") if card.train else None
    metrics, predictions = out / f"{target}.json", out / f"{target}.parquet"
    score_target(
        checkpoint, model / "tokenizer", settings, card_part(card, "score"), head,
        encoded(rows, model, out, target, "eval"), rows.folder / target / "eval.parquet",
        {"batch_tokens": batch_tokens}, {"seed": 1}, 1, metrics, predictions, {},
    )  # fmt: skip
    return json.loads(metrics.read_text())["scores"], pq.read_table(predictions)


@pytest.mark.parametrize("name", KINDS)
def test_a_small_grid(name: str, rows: Rows, tmp_path: Path) -> None:
    original, model, out = tmp_path / "original", tmp_path / "model", tmp_path / "out"
    write_folder(name, original)
    grid = load_grid({**CONFIG, "models": {name: {"path": str(original)}}}, ROOT)
    settings = model_part(grid.models[name], "score")
    fetch_model(grid.models[name], model)
    row = out / "mnli"
    train_intermediate(
        model / "backbone", model / "tokenizer", as_params(grid.recipe("mnli")),
        [stage(rows, model, out, "intermediate", "mnli")], model_part(grid.models[name], "train"), 1, 1, row, {},
    )  # fmt: skip
    for target in TARGETS:
        card, checkpoint = grid.cards[target], tuned(rows, model, out, settings, row, target)
        found, together = scored(rows, model, out, settings, checkpoint, target, 4096)
        _, alone = scored(rows, model, out, settings, checkpoint, target, 1)
        # Batch mates change no prediction; near ties of cosines may fall either way.
        column = "score" if TARGETS[target] == "dual" else "prediction"
        assert together.column(column).to_pylist() == pytest.approx(alone.column(column).to_pylist(), abs=1e-4)
        headline = {item["language"] for item in found if item["metric"] == card.metric}
        assert headline == set(card.languages)
        assert all(math.isfinite(item["value"]) and 0 <= item["value"] <= 100 and item["n"] for item in found)
        if target == "tatoeba":
            assert {item["metric"] for item in found} >= {f"accuracy_layer{number:02d}" for number in range(3)}
