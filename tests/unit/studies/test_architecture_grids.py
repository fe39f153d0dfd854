"""Each kind of backbone goes through a whole small grid, one target of each family, by the stages' own entry points."""

import math
from pathlib import Path

import pytest
from architectures import KINDS, write_folder
from stages_of_a_grid import MIRROR, ROOT, Rows, prepared, scored, stage, tuned
from stiltgrid.config.loading import load_grid
from stiltgrid.grid.grid import model_view
from stiltgrid.grid.params import as_params
from stiltgrid.preparation.models import fetch_model
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_intermediate

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


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write_folder("xlm-roberta", folder / "model")
    return prepared(load_grid({**CONFIG, "models": {"any": {"path": str(folder / "model")}}}, ROOT), folder)


@pytest.mark.parametrize("name", KINDS)
def test_a_small_grid(name: str, rows: Rows, tmp_path: Path) -> None:
    original, model, out = tmp_path / "original", tmp_path / "model", tmp_path / "out"
    write_folder(name, original)
    grid = load_grid({**CONFIG, "models": {name: {"path": str(original)}}}, ROOT)
    settings = model_view(grid.models[name], "score")
    fetch_model(grid.models[name], model)
    row = out / "mnli"
    tasks = [stage(rows, model, out, "intermediate", "mnli")]
    job = TrainingJob(model_view(grid.models[name], "train"), tasks, seed=1)
    train_intermediate(TrainingPaths(model / "backbone", model / "tokenizer", row), job, as_params(grid.recipe("mnli")))
    for target in TARGETS:
        card, checkpoint = grid.cards[target], tuned(rows, model, out, settings, row, target)
        found, together = scored(rows, model, out, settings, checkpoint, target, 4096)
        _, alone = scored(rows, model, out, settings, checkpoint, target, 1)
        # Batch mates change no prediction; near ties of cosines may fall either way.
        column = "score" if TARGETS[target] == "dual" else "prediction"
        found_together, found_alone = (table.column(column).to_pylist() for table in (together, alone))
        expected = pytest.approx(found_alone, abs=1e-4) if column == "score" else found_alone
        assert found_together == expected
        headline = {item["language"] for item in found if item["metric"] == card.metric}
        assert headline == set(card.languages)
        assert all(math.isfinite(item["value"]) and 0 <= item["value"] <= 100 and item["n"] for item in found)
        if target == "tatoeba":
            assert {item["metric"] for item in found} >= {f"accuracy_layer{number:02d}" for number in range(3)}
