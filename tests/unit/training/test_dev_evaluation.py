"""Dev evaluations take a small share of a stage's computation, and the log says so; what fits is unchanged."""

import json

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file
from stiltgrid.grid.grid import Recipe, TrainingSettings
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.preparation.data_sizes import Size
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_intermediate, train_target
from stiltgrid.training.training_data import load_stage_task
from stiltgrid.workflow.estimate import stage_work
from tiny_models import MODEL, sequence_card, with_settings, write_task


@pytest.fixture(scope="module")
def toy(place, tiny_tokenizer_folder):
    """96 training and 40 development examples."""
    return write_task(place / "toy", tiny_tokenizer_folder, sequence_card())


@pytest.fixture()
def train(place, tiny_tokenizer_folder, tmp_path):
    def run(task, name="tuned"):
        out = tmp_path / name
        train_target(TrainingPaths(place / "backbone", tiny_tokenizer_folder, out), TrainingJob(MODEL, [task], seed=1))
        return json.loads((out / "training.json").read_text())["stages"][0], load_file(out / "model.safetensors")

    return run


def share_of(stage):
    return stage["dev_tokens"] / (stage["dev_tokens"] + 3 * stage["tokens"])


def test_a_small_stage_evaluates_once_on_a_part_instead_of_often_on_all_rows(train, toy, caplog):
    costly, _ = train(with_settings(toy, epochs=2.0, evaluate_every=3, dev_share=None), "costly")
    assert share_of(costly) > 0.2 and [entry["step"] for entry in costly["evaluations"]] == [3, 6, 9, 12]
    assert costly["dev_evaluations"]["planned"] == 4 and costly["dev_evaluations"]["dev_rows"] == {"toy": 40}
    with caplog.at_level("INFO"):
        stage, _ = train(with_settings(toy, epochs=2.0, evaluate_every=3))
    assert [entry["step"] for entry in stage["evaluations"]] == [12]
    schedule = stage["dev_evaluations"]
    assert (schedule["requested"], schedule["planned"]) == (4, 1) and 10 < schedule["dev_rows"]["toy"] < 40
    # The pool is read twice, so the plan's mean is what was trained.
    assert 0.04 < share_of(stage) <= 0.05 and schedule["share"] == pytest.approx(share_of(stage), abs=1e-6)
    assert schedule["requested_share"] == pytest.approx(share_of(costly), abs=1e-6)
    share = 100 * schedule["requested_share"]
    assert f"4 evaluations of 40 development examples would take {share:.1f} %" in caplog.text
    assert f"dev_share: 0.05 reduces them to 1 of {schedule['dev_rows']['toy']}" in caplog.text


def test_evaluations_become_fewer_before_they_become_smaller(train, toy):
    stage, _ = train(with_settings(toy, epochs=10.0, patience=None))
    schedule = stage["dev_evaluations"]
    assert schedule["requested"] == 10 and schedule["planned"] == len(stage["evaluations"]) == 4
    assert [entry["step"] for entry in stage["evaluations"]] == [15, 30, 45, 60]
    assert stage["dev_evaluations"]["dev_rows"] == {"toy": 40} and share_of(stage) <= 0.05


@pytest.mark.parametrize("epochs", [2.0, 4.5, 10.0])
def test_the_estimate_schedules_the_evaluations_of_training(train, toy, epochs):
    task = with_settings(toy, epochs=epochs, patience=None)
    stage, _ = train(task)
    settings = TrainingSettings(**task["settings"])
    sizes = [
        Size(len(data.example_offsets) - 1, float(data.lengths.sum()), "encoded")
        for data in (read_encoded(toy["train"]), read_encoded(toy["dev"]))
    ]
    work = stage_work([("toy", *sizes, settings)], Recipe("toy", ("toy",)), settings)
    # Exact where all development rows are read; of a part of them it knows the mean.
    whole = stage["dev_evaluations"]["dev_rows"]["toy"] == 40
    assert work.read == pytest.approx(stage["dev_tokens"], rel=1e-9 if whole else 0.05)
    assert work.trained == pytest.approx(stage["tokens"], rel=0.01)


def test_evaluations_within_the_limit_change_nothing(train, toy, caplog):
    task = {"epochs": 2.0, "evaluate_every": 10**9, "dev_examples": 8}
    (kept, weights), (free, same) = (
        train(with_settings(toy, dev_share=share, **task), str(share)) for share in (0.05, None)
    )
    for stage in (kept, free):
        stage.pop("seconds")
        stage["settings"].pop("dev_share"), stage["tasks"][0]["settings"].pop("dev_share")
    assert kept == free and kept["dev_evaluations"]["dev_rows"] == {"toy": 8}
    assert weights.keys() == same.keys() and all((weights[key] == same[key]).all() for key in weights)
    assert "null: no limit" not in caplog.text


def test_tasks_of_a_mixture_shrink_alike(place, toy, tiny_tokenizer_folder, tmp_path):
    second = write_task(place / "second", tiny_tokenizer_folder, sequence_card("second"), train=32, seed=9)
    tasks = [with_settings(toy, epochs=1.0), with_settings(second, epochs=1.0, dev_examples=20)]
    recipe, out = as_params(Recipe("mix", ("toy", "second"))), tmp_path / "mix"
    train_intermediate(
        TrainingPaths(place / "backbone", tiny_tokenizer_folder, out), TrainingJob(MODEL, tasks, seed=1), recipe
    )
    stage = json.loads((out / "training.json").read_text())["stages"][0]
    rows = stage["dev_evaluations"]["dev_rows"]
    assert rows["second"] == rows["toy"] // 2 > 0 and stage["dev_evaluations"]["planned"] == 1
    # A few steps draw what they draw: the plan reckons with the mean.
    assert stage["dev_evaluations"]["share"] <= 0.05 and share_of(stage) < 0.06


def test_fewer_rows_are_some_of_those_that_would_have_been_read(toy):
    task = load_stage_task(with_settings(toy, dev_examples=30), 1)
    few, again = (task.dev.fewer(task.family, 7) for _ in range(2))
    ids = few.rows.column("id").to_pylist()
    assert len(ids) == 7 and set(ids) < set(task.dev.rows.column("id").to_pylist())
    assert ids == again.rows.column("id").to_pylist() and task.dev.fewer(task.family, 30) is task.dev
    assert few.encoded.examples.tolist() == list(range(7))
    rows = pq.read_table(toy["dev_rows"]).column("id").to_pylist()
    whole = load_stage_task(with_settings(toy, dev_examples=None), 1).dev.encoded
    assert few.encoded.lengths.tolist() == [whole.lengths[rows.index(name)] for name in ids], "sequences of their own"
