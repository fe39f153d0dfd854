"""Two processes train what one trains: the same examples in each step, the same weights, one resumable checkpoint."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import stiltgrid
import torch
from safetensors.torch import load_file
from stiltgrid.grid.grid import Recipe
from stiltgrid.grid.params import as_params
from stiltgrid.training import launcher
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.process_group import SINGLE_PROCESS, zigzag_share
from stiltgrid.training.resume import SUFFIX, StateSaver
from stiltgrid.training.training import train_intermediate
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.processes import process_count
from tiny_models import MODEL, sequence_card, with_settings, write_backbone, write_task

HERE = Path(__file__).parents[2] / "support"
# What each process runs; the arguments of the job come as JSON. `stop`: the step before which the second process
# receives a signal; `memory`: the tokens that it can hold at a time.
WORKER = """
import json, sys
sys.path[:0] = [{here!r}, {library!r}]
from stiltgrid.training import launcher
assert launcher.is_worker()
import os
import stiltgrid.modeling.heads
from contextlib import nullcontext
from pathlib import Path
from signalling_saver import SignallingSaver
from small_memory import small_memory
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.resume import Interrupted
from stiltgrid.training.training import train_intermediate
job = json.loads({job!r})
second = os.environ["RANK"] == "1"
stiltgrid.modeling.heads.DROPOUT = job["dropout"]
saver = None
if job["state"]:
    saver = SignallingSaver(Path(job["state"]), job["stop"] if second else 10**9)
memory = small_memory(job["memory"]) if job["memory"] and second else nullcontext()
try:
    with memory:
        train_intermediate(TrainingPaths(*job["paths"]), TrainingJob(**job["job"]), job["recipe"], saver=saver)
except Interrupted as error:
    sys.exit(3 if "state saved" in str(error) else 4)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_tokenizer_folder):
    folder = tmp_path_factory.mktemp("group")
    write_backbone(folder / "backbone", tiny_tokenizer_folder)
    write_backbone(folder / "dropping", tiny_tokenizer_folder, hidden_dropout_prob=0.1)
    return folder


@pytest.fixture(scope="module")
def tasks(place, tiny_tokenizer_folder):
    """A mixture of two tasks; the last steps of each epoch have fewer examples than processes could share evenly."""
    made = [
        write_task(place / name, tiny_tokenizer_folder, sequence_card(name), train=50, seed=seed)
        for name, seed in (("first", 1), ("second", 9))
    ]
    return [with_settings(task, batch_size=9, epochs=1.0, evaluate_every=5, dev_share=0.4) for task in made]


def arguments(place, tokenizer, tasks, out, backbone="backbone"):
    """A job as JSON can hold it."""
    recipe = as_params(Recipe("mix", ("first", "second")))
    paths = [str(place / backbone), str(tokenizer), str(out)]
    return {"paths": paths, "job": {"model": dict(MODEL), "tasks": tasks, "seed": 1}, "recipe": recipe}


def train_alone(given):
    train_intermediate(TrainingPaths(*given["paths"]), TrainingJob(**given["job"]), given["recipe"])


def train_together(tmp_path, given, dropout=0.0, state=None, stop=10**9, memory=0):
    """Run the job in two processes."""
    job = {**given, "dropout": dropout, "state": state and str(state), "stop": stop, "memory": memory}
    script = tmp_path / "worker.py"
    library = str(Path(stiltgrid.__file__).parents[1])
    script.write_text(WORKER.format(here=str(HERE), library=library, job=json.dumps(job)))
    launcher.launch([sys.executable, "-W", "ignore", str(script)], 2, 2)


def losses(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["task"], line["tokens"]) for line in lines if "loss" in line], [
        line["loss"] for line in lines if "loss" in line
    ]


def test_two_processes_train_the_weights_of_one(place, tasks, tiny_tokenizer_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("stiltgrid.modeling.heads.DROPOUT", 0.0)
    one, two = tmp_path / "one", tmp_path / "two"
    train_alone(arguments(place, tiny_tokenizer_folder, tasks, one))
    train_together(tmp_path, arguments(place, tiny_tokenizer_folder, tasks, two), memory=60)
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    expected, found = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    before = load_file(place / "backbone" / "model.safetensors")
    assert max(float((expected[key] - before[key]).abs().max()) for key in expected) > 1e-2, "it must have learned"
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-5)
    (steps, values), (same_steps, near_values) = losses(one), losses(two)
    assert steps == same_steps, "the same tasks and real tokens in every step"
    assert near_values == pytest.approx(values, abs=1e-5)
    records = [json.loads((folder / "training.json").read_text()) for folder in (one, two)]
    assert "processes" not in records[0] and records[1]["processes"] == 2
    stages = [record["stages"][0] for record in records]
    assert stages[0]["evaluations"] == stages[1]["evaluations"]
    schedules = [stage["dev_evaluations"] for stage in stages]
    assert schedules[0] == schedules[1] and schedules[0]["planned"] < schedules[0]["requested"]
    limits = [stage["micro_batch_tokens"] for stage in stages]
    assert max(limits[1]) < min(limits[0]), "the second was short of memory, so both have halved their micro-batches"


def test_a_signal_to_one_stops_both_and_the_next_attempt_gives_the_same_bytes(
    place, tasks, tiny_tokenizer_folder, tmp_path
):
    state = tmp_path / "state" / f"job{SUFFIX}"
    outputs = [tmp_path / "undisturbed", tmp_path / "stopped"]
    given = [arguments(place, tiny_tokenizer_folder, tasks, out, "dropping") for out in outputs]
    train_together(tmp_path, given[0], dropout=0.1)
    with pytest.raises(StiltgridError, match="of 2 ended with status 3"):
        train_together(tmp_path, given[1], dropout=0.1, state=state, stop=4)
    assert state.is_file() and not (tmp_path / "stopped").exists()
    train_together(tmp_path, given[1], dropout=0.1, state=state)
    assert not state.exists(), "the state is removed once the output is complete"
    left, stopped = outputs
    assert (left / "model.safetensors").read_bytes() == (stopped / "model.safetensors").read_bytes()
    assert (left / "log.jsonl").read_bytes() == (stopped / "log.jsonl").read_bytes()
    assert json.loads((stopped / "training.json").read_text())["resumed"] == [{"stage": "mix", "step": 3}]


def test_the_first_failure_ends_all_processes(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text("import os, sys, time\nsys.exit(7) if os.environ['RANK'] == '1' else time.sleep(600)\n")
    with pytest.raises(StiltgridError, match="process 2 of 2 ended with status 7"):
        launcher.launch([sys.executable, str(script)], 2, 1)


def test_shares_are_a_partition_and_cost_about_the_same():
    lengths = np.random.default_rng(1).integers(5, 200, size=33)
    examples = np.arange(100, 133)
    shares = [zigzag_share(examples, lengths, rank, 3) for rank in range(3)]
    assert sorted(np.concatenate(shares).tolist()) == examples.tolist()
    costs = [int(lengths[share - 100].sum()) for share in shares]
    assert max(costs) - min(costs) < 0.1 * sum(costs)
    assert SINGLE_PROCESS.share(examples, lengths) is examples


def test_more_gpus_than_there_are_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(StiltgridError, match=r"asks for 2 GPUs \(resource `gpu`\), but this machine shows 1"):
        launcher.launch([sys.executable, "-c", ""], 2, 1)


def test_the_number_of_processes_comes_from_the_launchers_variables():
    assert process_count({}) == 1 and process_count({"WORLD_SIZE": "4"}) == 1, "some clusters set it for every job"
    assert process_count({"WORLD_SIZE": "4", "LOCAL_RANK": "0"}) == 4
    assert StateSaver().group.size == 1


@pytest.mark.gpu
def test_two_gpus_train_what_one_trains(place, tasks, tiny_tokenizer_folder, tmp_path, monkeypatch):
    if torch.cuda.device_count() < 2:
        pytest.skip(f"needs two GPUs; there are {torch.cuda.device_count()}")
    tasks = [{**task, "settings": {**task["settings"], "precision": "fp32"}} for task in tasks]
    monkeypatch.setattr("stiltgrid.modeling.heads.DROPOUT", 0.0)
    train_together(tmp_path, arguments(place, tiny_tokenizer_folder, tasks, tmp_path / "two"))
    train_alone(arguments(place, tiny_tokenizer_folder, tasks, tmp_path / "one"))
    expected, found = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-3)
