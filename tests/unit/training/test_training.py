import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stages import ScriptedScores, run_stage
from stiltgrid.grid.grid import Recipe, TrainingSettings
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.preparation.budgets import draw_examples, mixing_weights, share_budget
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.resume import StateSaver
from stiltgrid.training.stage_plan import TrainingError
from stiltgrid.training.training import train_intermediate, train_target
from stiltgrid.training.training_data import draw_schedule, load_stage_task, steps_for
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.seeding import derive_seed
from tiny_models import MODEL, sequence_card, with_settings, write_backbone, write_task
from transformers import AutoModel


@pytest.fixture(scope="module")
def toy(place, tiny_tokenizer_folder):
    return write_task(place / "toy", tiny_tokenizer_folder, sequence_card())


@pytest.fixture()
def no_dropout(monkeypatch):
    monkeypatch.setattr("stiltgrid.modeling.heads.DROPOUT", 0.0)


@pytest.fixture()
def train(place, tiny_tokenizer_folder, tmp_path):
    """Train stages of a target; returns the weights and the record."""

    def run(*tasks, seed=1, name="tuned"):
        out = tmp_path / name
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, out)
        train_target(paths, TrainingJob(MODEL, tasks, seed, provenance={"code": "abc"}))
        return load_file(out / "model.safetensors"), json.loads((out / "training.json").read_text())

    return run


def log_lines(folder, key="loss"):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if key in line]


def test_accumulated_micro_batches_equal_one_big_batch(train, toy, no_dropout, tmp_path):
    whole, _ = train(with_settings(toy, max_steps=6), name="whole")
    parts, _ = train(with_settings(toy, max_steps=6, micro_batch_tokens=60), name="parts")
    batches = [[line["micro_batches"] for line in log_lines(tmp_path / name)] for name in ("whole", "parts")]
    assert max(batches[0]) < min(batches[1]), "the small limit must cut the step into more pieces"
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(train, toy, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(with_settings(toy, max_steps=4), seed=seed, name=name)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b and a != c


def test_training_learns_and_writes_a_complete_record(train, toy, tmp_path):
    _, record = train(with_settings(toy, epochs=5, evaluate_every=6, dev_share=None))
    stage = record["stages"][0]
    assert stage["best_score"] > 90, "the label stands in one word: chance is 50"
    assert stage["steps"] == stage["planned_steps"] == 30
    assert [entry["step"] for entry in stage["evaluations"]] == [6, 12, 18, 24, 30]
    losses = log_lines(tmp_path / "tuned")
    assert [line["step"] for line in losses] == list(range(1, 31))
    assert sum(line["tokens"] for line in losses) == stage["tokens"]
    assert stage["padding_share"] == pytest.approx(1 - stage["tokens"] / stage["computed_tokens"], abs=1e-6)
    assert max(line["learning_rate"] for line in losses) <= 3e-3
    assert record["provenance"] == {"code": "abc"} and record["versions"]["torch"] == torch.__version__


def test_early_stopping_restores_the_best_weights(place, toy, tiny_tokenizer_folder):
    scores = ScriptedScores([10.0, 50.0, 20.0, 50.0, 30.0])
    task = with_settings(toy, epochs=9, evaluate_every=2, patience=3, dev_share=None)
    stage, _ = run_stage(place / "backbone", tiny_tokenizer_folder, task, scores)
    assert (stage.state.best_step, stage.state.best_score, stage.state.step) == (4, 50.0, 10)
    weights = stage.model.heads["toy"].state_dict()
    for key, value in scores.heads[1].items():
        assert torch.equal(weights[key], value)
        assert not torch.equal(weights[key], scores.heads[-1][key]), "the last weights are others"


def test_the_last_evaluation_may_be_the_best(place, toy, tiny_tokenizer_folder):
    scores = ScriptedScores([10.0, 5.0, 60.0])
    task = with_settings(toy, max_steps=5, evaluate_every=2, dev_share=None)
    stage, _ = run_stage(place / "backbone", tiny_tokenizer_folder, task, scores)
    assert stage.state.best_step == 5
    weights = stage.model.heads["toy"].state_dict()
    assert all(torch.equal(weights[key], value) for key, value in scores.heads[-1].items())


def test_an_intermediate_job_writes_the_backbone_alone(place, toy, tiny_tokenizer_folder, tmp_path):
    out = tmp_path / "intermediate"
    recipe = as_params(Recipe("toy", ("toy",)))
    paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, out)
    train_intermediate(paths, TrainingJob(MODEL, [with_settings(toy, max_steps=3)], seed=1), recipe)
    assert {path.name for path in out.iterdir()} == {"config.json", "model.safetensors", "training.json", "log.jsonl"}
    before, after = (load_file(folder / "model.safetensors") for folder in (place / "backbone", out))
    assert before.keys() == after.keys() and not all(torch.equal(before[key], after[key]) for key in before)
    state = AutoModel.from_pretrained(out, add_pooling_layer=False).state_dict()
    assert all(torch.equal(state[key], value) for key, value in after.items())


def test_a_head_of_matching_shape_is_kept_for_the_next_stage(train, toy, place, tiny_tokenizer_folder):
    quiet = {"learning_rate": 1e-12, "max_steps": 1}
    first, _ = train(with_settings(toy, max_steps=20), name="one")
    both, record = train(with_settings(toy, max_steps=20), with_settings(toy, **quiet), name="two")
    assert [stage["name"] for stage in record["stages"]] == ["toy", "toy"]
    torch.testing.assert_close(both["head.projection.weight"], first["head.projection.weight"], rtol=0, atol=1e-6)
    three = write_task(place / "three", tiny_tokenizer_folder, sequence_card("three", labels=("yes", "no", "maybe")))
    other, _ = train(with_settings(three, max_steps=20), with_settings(toy, **quiet), name="three")
    assert other["head.projection.weight"].shape[0] == 2
    assert other["head.projection.weight"].std() < 0.05, "a new head where the shapes differ"


def test_a_loss_that_is_not_finite_stops_with_step_task_and_examples(train, toy, tmp_path):
    message = r"stage 'toy', step 2 of 12, task 'toy': loss nan.*en-train-\d+"
    with pytest.raises(TrainingError, match=message) as caught:
        train(with_settings(toy, max_steps=12, learning_rate=1e30))
    assert str(caught.value).count("en-train-") == 16
    assert list(tmp_path.iterdir()) == []


def test_a_killed_job_leaves_nothing(place, toy, tiny_tokenizer_folder, tmp_path):
    started = multiprocessing.get_context("fork").Event()

    class Waiting(StateSaver):
        def before_step(self, state):
            if state().facts["stage"]["step"] == 3:
                started.set()
                time.sleep(60)

    def job():
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, tmp_path / "tuned")
        train_target(paths, TrainingJob(MODEL, [with_settings(toy, epochs=100)], seed=1), Waiting())

    child = multiprocessing.get_context("fork").Process(target=job)
    child.start()
    assert started.wait(60)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert list(tmp_path.iterdir()) == []


def test_sequences_longer_than_the_model_reads_are_refused(toy, train, place, tiny_tokenizer_folder, tmp_path):
    short = write_backbone(tmp_path / "short", tiny_tokenizer_folder, max_position_embeddings=12)
    with pytest.raises(SourceError, match=r"train.arrow: a sequence of \d+ tokens, but the model reads 10"):
        paths = TrainingPaths(short, tiny_tokenizer_folder, tmp_path / "tuned")
        train_target(paths, TrainingJob(MODEL, [with_settings(toy)], seed=1))


def test_steps_follow_epochs_batch_and_cap():
    settings = TrainingSettings(epochs=2, batch_size=32)
    assert steps_for(320, settings) == 20 and steps_for(321, settings) == 21
    assert steps_for(3, settings) == 1 and steps_for(320, settings.override({"max_steps": 7})) == 7


def test_example_caps_are_drawn_by_seed(toy, place):
    def pool(seed):
        return load_stage_task(with_settings(toy, examples=20), seed).pool.tolist()

    assert len(pool(1)) == len(set(pool(1))) == 20
    assert pool(1) == pool(1) != pool(2)
    assert draw_examples(5, 9, 1).tolist() == list(range(5))


def test_dev_sets_are_english_and_the_same_for_every_seed(toy):
    first, second = (load_stage_task(with_settings(toy, dev_examples=10), seed).dev for seed in (1, 2))
    assert first.rows.column("id").to_pylist() == second.rows.column("id").to_pylist()
    assert first.encoded.examples.tolist() == list(range(10))
    assert set(first.rows.column("language").to_pylist()) == {"en"}


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe("m", sampling="proportional"), [0.1, 0.2, 0.7]),
        (Recipe("m", sampling="proportional", cap=200), [0.2, 0.4, 0.4]),
        (Recipe("m", sampling="uniform"), [1 / 3] * 3),
        (Recipe("m", sampling="temperature", temperature=2.0), np.sqrt([1, 2, 7]) / np.sqrt([1, 2, 7]).sum()),
    ],
)
def test_tasks_are_mixed_in_the_proportions_of_the_recipe(recipe, expected):
    np.testing.assert_allclose(mixing_weights([100, 200, 700], recipe), expected)


def test_a_schedule_draws_each_task_about_as_often_as_its_weight(toy):
    tasks = [load_stage_task(with_settings(toy, examples=count, epochs=200, batch_size=8), 1) for count in (16, 32, 80)]
    schedule = draw_schedule(tasks, Recipe("m"), None, 5)
    assert len(schedule) == 200 * 128 // 8
    shares = np.bincount(schedule) / len(schedule)
    np.testing.assert_allclose(shares, [0.125, 0.25, 0.625], atol=0.03)
    assert np.array_equal(schedule, draw_schedule(tasks, Recipe("m"), None, 5))
    assert len(draw_schedule(tasks, Recipe("m", cap=16), 100, 5)) == 100


def test_a_budget_is_shared_by_weight_and_bounded_by_what_there_is():
    assert share_budget([100, 200, 700], Recipe("m", examples=100)) == [10, 20, 70]
    assert share_budget([100, 200, 700], Recipe("m", sampling="uniform", examples=600)) == [100, 200, 300]
    assert share_budget([3, 3, 3], Recipe("m", examples=7)) in ([3, 2, 2], [2, 3, 2], [2, 2, 3])
    assert share_budget([5, 5], Recipe("m", examples=99)) == [5, 5]


def test_a_mixture_trains_one_head_a_task_and_stops_on_the_mean(place, toy, tiny_tokenizer_folder, tmp_path):
    other = write_task(place / "other", tiny_tokenizer_folder, sequence_card("other"), train=32, seed=9)
    tasks = [with_settings(toy, epochs=3), with_settings(other, epochs=3, batch_size=8, learning_rate=1e-3)]
    recipe = as_params(Recipe("mix", ("toy", "other"), sampling="uniform"))
    out = tmp_path / "mix"
    paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, out)
    train_intermediate(paths, TrainingJob(MODEL, tasks, seed=1), recipe)
    stage = json.loads((out / "training.json").read_text())["stages"][0]
    assert stage["planned_steps"] == 18 + 12
    assert {task["name"]: task["steps"] > 0 for task in stage["tasks"]} == {"toy": True, "other": True}
    last = stage["evaluations"][-1]
    assert last["dev"].keys() == {"toy", "other"}
    assert last["score"] == pytest.approx(np.mean(list(last["dev"].values())))
    rates = {line["task"]: [] for line in log_lines(out)}
    for line in log_lines(out):
        rates[line["task"]].append(line["learning_rate"])
    assert max(rates["other"]) <= 1e-3 < max(rates["toy"]) <= 3e-3


def test_weights_trained_under_autocast_are_saved_unrounded_or_in_bf16_if_asked(train, toy):
    task = with_settings(toy, max_steps=2, precision="bf16")
    weights, record = train(task, name="trained")
    assert (record["dtype"], record["saved_dtype"]) == ("bfloat16", "float32")
    half, half_record = train(with_settings(toy, max_steps=2, precision="bf16", checkpoint_precision="bf16"))
    assert (half_record["dtype"], half_record["saved_dtype"]) == ("bfloat16", "bfloat16")
    changed = 0
    for name, value in weights.items():
        assert value.dtype == torch.float32
        if name.startswith("backbone."):
            assert half[name].dtype == torch.bfloat16 and torch.equal(half[name], value.to(torch.bfloat16))
            changed += int((half[name].float() != value).sum())
        else:
            assert torch.equal(half[name], value), "heads are small and always in float32"
    assert changed > 1000, "bf16 rounds"


def test_the_target_stage_starts_from_the_weights_that_the_intermediate_stage_trained(
    place, toy, tiny_tokenizer_folder, tmp_path
):
    job = TrainingJob(MODEL, [with_settings(toy, max_steps=2, precision="bf16")], seed=1)
    recipe = as_params(Recipe("toy", ("toy",)))
    train_intermediate(TrainingPaths(place / "backbone", tiny_tokenizer_folder, tmp_path / "row"), job, recipe)
    still = TrainingJob(MODEL, [with_settings(toy, max_steps=1, precision="bf16", learning_rate=1e-30)], seed=1)
    train_target(TrainingPaths(tmp_path / "row", tiny_tokenizer_folder, tmp_path / "tuned"), still)
    row, tuned = (load_file(tmp_path / name / "model.safetensors") for name in ("row", "tuned"))
    assert all(torch.equal(tuned[f"backbone.{name}"], value) for name, value in row.items())


def test_seeds_depend_on_every_word():
    assert derive_seed(1, "target", "xnli") == derive_seed(1, "target", "xnli") != derive_seed(1, "targetx", "nli")
    assert 0 <= derive_seed("a") < 2**63


def test_weights_start_from_the_checkpoint(train, toy, place):
    weights, _ = train(with_settings(toy, learning_rate=1e-12, max_steps=1))
    before = load_backbone(place / "backbone").model.state_dict()
    torch.testing.assert_close(
        weights["backbone.encoder.layer.0.attention.self.query.weight"],
        before["encoder.layer.0.attention.self.query.weight"],
    )


def test_muon_learns(train, toy):
    _, record = train(with_settings(toy, epochs=5, optimizer="muon", dev_share=None))
    assert record["stages"][0]["best_score"] > 80, "chance is 50"
