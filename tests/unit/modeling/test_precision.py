"""`precision: auto`: bf16 where it is measurably faster, and one choice for all jobs of a model."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.evaluation.scoring import ScoringSettings, score_target
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.device import prepare_compute
from stiltgrid.modeling.precision import (
    BF16,
    FP32,
    MIN_HIDDEN_SIZE,
    RECORD,
    ModelPrecision,
    bf16_speedup,
    cpu_choice,
    hidden_size,
)
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_target
from stiltgrid.utils.errors import SourceError
from tiny_models import MODEL, SHAPE, sequence_card, with_settings, write_backbone, write_task

WIDTH = SHAPE["hidden_size"]


@pytest.fixture
def model(place: Path, tmp_path: Path) -> ModelPrecision:
    return ModelPrecision(place / "backbone", tmp_path)


def record(folder: Path, precision: str, size: int = WIDTH) -> None:
    (folder / RECORD).write_text(json.dumps({"precision": precision, "hidden_size": size}))


@pytest.mark.parametrize(
    ("size", "speedup", "expected"),
    [(384, 1.9, BF16), (384, 1.2, FP32), (384, 0.6, FP32), (MIN_HIDDEN_SIZE, 1.3, BF16)],
)
def test_a_large_model_takes_bf16_on_a_cpu_where_it_is_measurably_faster(size, speedup, expected):
    assert cpu_choice(size, lambda asked: speedup if asked == size else 0.0) == expected


def test_a_small_model_stays_in_float32_without_a_measurement():
    def measure(size: int) -> float:
        raise AssertionError("not to be measured")

    assert cpu_choice(MIN_HIDDEN_SIZE - 1, measure) == FP32


def test_the_measurement_is_of_a_layer_of_any_size_and_draws_nothing():
    state = torch.get_rng_state()
    assert bf16_speedup(100) > 0
    assert torch.equal(torch.get_rng_state(), state)


def test_the_first_job_records_and_the_others_follow(model, tmp_path):
    assert model.on_gpu(has_bf16=True) == BF16
    assert json.loads((tmp_path / RECORD).read_text()) == {"precision": BF16, "hidden_size": WIDTH}
    assert model.on_cpu() == BF16 and model.on_gpu(has_bf16=False) == BF16
    assert {path.name for path in tmp_path.iterdir()} == {RECORD}


def test_jobs_that_choose_at_the_same_time_agree(place, tmp_path):
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        both = ModelPrecision(place / "backbone", folder)
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(both.on_gpu, [True, False] * 4))) == 1
        assert [path.name for path in folder.iterdir()] == [RECORD]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"precision": "fp16", "hidden_size": 32}', '{"precision": "bf16"}'])
def test_a_damaged_record_is_replaced(model, tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    assert model.on_cpu() == FP32
    assert json.loads((tmp_path / RECORD).read_text())["precision"] == FP32


def test_a_record_of_another_model_under_the_same_name_is_replaced(model, tmp_path):
    record(tmp_path, BF16, size=1024)
    assert model.on_cpu() == FP32


def test_the_setting_goes_before_the_record(model, tmp_path):
    record(tmp_path, BF16)
    assert prepare_compute("fp32", 1, model).dtype == torch.float32
    assert prepare_compute("auto", 1, model).dtype == torch.bfloat16
    assert prepare_compute("auto", 1).dtype == torch.float32


def test_sizes_are_read_from_configurations_of_any_architecture(tmp_path, tiny_tokenizer_folder):
    shape = {"n_embd": 48, "n_layer": 1, "n_head": 2, "n_positions": 16}
    assert hidden_size(write_backbone(tmp_path / "gpt2", tiny_tokenizer_folder, "gpt2", **shape)) == 48
    with pytest.raises(SourceError, match=r"nowhere/config.json: not a readable model configuration"):
        hidden_size(tmp_path / "nowhere")


@pytest.mark.parametrize(("recorded", "expected"), [(BF16, "bfloat16"), (None, "float32")])
def test_training_and_scoring_compute_in_the_recorded_precision(
    place, tiny_tokenizer_folder, tmp_path, recorded, expected
):
    folder = tmp_path / "model"
    shutil.copytree(tiny_tokenizer_folder, folder / "tokenizer")
    if recorded:
        record(folder, recorded)
    task, card = write_task(place / "toy", tiny_tokenizer_folder, sequence_card()), sequence_card()
    train_target(
        TrainingPaths(place / "backbone", folder / "tokenizer", tmp_path / "tuned"),
        TrainingJob(MODEL, [with_settings(task, max_steps=1)], seed=1),
    )
    toy = place / "toy"
    score_target(
        EvaluationPaths(tmp_path / "tuned", folder / "tokenizer", toy / "eval.arrow", toy / "eval.parquet"),
        ScoringSettings(Model("tiny", pooling="mean"), card, card, {"seed": 1}),
        tmp_path / "metrics.json",
        tmp_path / "predictions.parquet",
    )
    assert json.loads((tmp_path / "tuned" / "training.json").read_text())["dtype"] == expected
    assert json.loads((tmp_path / "metrics.json").read_text())["provenance"]["dtype"] == expected
    assert json.loads((folder / RECORD).read_text())["precision"] == (recorded or FP32)
