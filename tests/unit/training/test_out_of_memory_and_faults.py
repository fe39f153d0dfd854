"""Injected faults: memory, disk and damaged files. Each ends in one clear sentence, none in a partial result."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import stiltgrid
import torch
from safetensors.torch import load_file
from small_memory import small_memory
from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.evaluation.scoring import ScoringSettings, score_target
from stiltgrid.grid.grid import Model
from stiltgrid.grid.params import as_params, from_params
from stiltgrid.preparation.encode import encode_file
from stiltgrid.preparation.tokenizers import train_tokenizer
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.resume import SUFFIX
from stiltgrid.training.stage_plan import TrainingError
from stiltgrid.training.training import train_target
from stiltgrid.utils.errors import SourceError
from tiny_models import MODEL, sequence_card, with_settings, write_backbone, write_task

LIBRARY = Path(stiltgrid.__file__).parents[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_tokenizer_folder):
    folder = tmp_path_factory.mktemp("faults")
    write_backbone(folder / "backbone", tiny_tokenizer_folder)
    task = write_task(folder / "toy", tiny_tokenizer_folder, sequence_card())
    paths = TrainingPaths(folder / "backbone", tiny_tokenizer_folder, folder / "tuned")
    train_target(paths, TrainingJob(MODEL, [with_settings(task, max_steps=2)], seed=1))
    return folder


@pytest.fixture
def toy(place):
    """Own copies of the toy task's files, to harm."""
    return write_paths(place / "toy")


def write_paths(folder):
    return {
        "card": as_params(sequence_card()),
        "train": str(folder / "train.arrow"),
        "dev": str(folder / "dev.arrow"),
        "train_rows": str(folder / "train.parquet"),
        "dev_rows": str(folder / "dev.parquet"),
    }


@pytest.fixture
def train(place, tiny_tokenizer_folder, tmp_path, toy):
    def run(name, saver=None, task=toy, **settings):
        task = with_settings(task, **{"max_steps": 6, **settings})
        out = tmp_path / name
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, out)
        train_target(paths, TrainingJob(MODEL, [task], seed=1), saver)
        return load_file(out / "model.safetensors")

    return run


@pytest.fixture
def score(place, tiny_tokenizer_folder, tmp_path):
    def run(name, tuned=place / "tuned", folder=place / "toy"):
        card, out = sequence_card(), tmp_path / name
        paths = EvaluationPaths(tuned, tiny_tokenizer_folder, folder / "eval.arrow", folder / "eval.parquet")
        written = out / "metrics.json", out / "predictions.parquet"
        score_target(paths, ScoringSettings(from_params(Model, MODEL), card, card, {}), *written)
        return json.loads(written[0].read_text())["scores"]

    return run


def test_out_of_memory_makes_micro_batches_smaller_and_keeps_the_step(train, monkeypatch, caplog):
    monkeypatch.setattr("stiltgrid.modeling.heads.DROPOUT", 0.0)
    enough = train("enough", batch_size=16)
    with small_memory(80) as asked:
        short = train("short", batch_size=16)
    assert max(asked) > 80, "the fault must have happened"
    assert max(asked[-16:]) <= 80, "the lower limit holds for the following steps"
    assert "step 1 of 6, task 'toy': out of memory; micro_batch_tokens lowered to" in caplog.text
    assert "still 16 examples a step (CUDA out of memory. Tried to allocate 2.00 GiB.)" in caplog.text
    for key, value in enough.items():
        torch.testing.assert_close(short[key], value, rtol=0, atol=1e-5)


def test_out_of_memory_with_one_example_stops_with_advice(train, tmp_path):
    message = "step 1 of 6, task 'toy': out of memory .* less than one example; lower"
    with small_memory(0), pytest.raises(TrainingError, match=message):
        train("never")
    assert list(tmp_path.iterdir()) == []


def test_out_of_memory_while_scoring_reads_smaller_batches(score):
    enough = score("enough")
    with small_memory(150, training=False) as asked:
        assert score("short") == enough
    assert max(asked) > 150 >= min(asked)


def cut(path, keep=0.6):
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * keep)])


@pytest.fixture
def copies(place, tmp_path):
    """The toy task's files and its tuned model, to be harmed."""
    folder = tmp_path / "copies"
    for source in (place / "toy", place / "tuned", place / "backbone"):
        for file in source.iterdir():
            target = folder / source.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("name", "word"), [("train.arrow", "Arrow"), ("dev.arrow", "Arrow"), ("dev.parquet", "parquet")]
)
@pytest.mark.parametrize("keep", [0.6, 0.0])
def test_training_names_a_cut_file(copies, train, name, word, keep):
    cut(copies / "toy" / name, keep)
    with pytest.raises(
        SourceError, match=f"{copies}/toy/{name}: {word} file truncated or damaged .*delete it and run again"
    ):
        train("never", task=write_paths(copies / "toy"))


@pytest.mark.parametrize(("name", "word"), [("eval.arrow", "Arrow"), ("eval.parquet", "parquet")])
def test_scoring_names_a_cut_file(copies, score, tmp_path, name, word):
    cut(copies / "toy" / name)
    with pytest.raises(SourceError, match=f"{name}: {word} file truncated or damaged"):
        score("never", folder=copies / "toy")
    assert not (tmp_path / "never").exists()


def test_scoring_names_a_cut_checkpoint(copies, score):
    cut(copies / "tuned" / "model.safetensors")
    with pytest.raises(SourceError, match=f"{copies}/tuned/model.safetensors: safetensors file truncated or damaged"):
        score("never", tuned=copies / "tuned")


def test_training_names_a_cut_checkpoint(copies, toy, tiny_tokenizer_folder, tmp_path):
    cut(copies / "backbone" / "model.safetensors")
    task = with_settings(toy, max_steps=1)
    with pytest.raises(
        SourceError, match=f"{copies}/backbone/model.safetensors: safetensors file truncated or damaged"
    ):
        paths = TrainingPaths(copies / "backbone", tiny_tokenizer_folder, tmp_path / "never")
        train_target(paths, TrainingJob(MODEL, [task], seed=1))


def test_encoding_and_tokenizing_name_a_cut_parquet(copies, tiny_tokenizer_folder, tmp_path):
    rows = copies / "toy" / "train.parquet"
    cut(rows)
    with pytest.raises(SourceError, match=f"{rows}: parquet file truncated or damaged"):
        encode_file(sequence_card(), rows, tiny_tokenizer_folder, tmp_path / "never.arrow", 64, True)
    with pytest.raises(SourceError, match=f"{rows}: parquet file truncated or damaged"):
        train_tokenizer(rows, {"algorithm": "bpe", "vocabulary": 100, "pre_tokenizer": "scripts"}, tmp_path / "never")
    assert {path.name for path in tmp_path.iterdir()} == {"copies"}


FULL = """
import json, sys
from pathlib import Path
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.resume import StateSaver
from stiltgrid.training.training import train_target
task, model, backbone, tokenizer, out, state = json.loads(sys.argv[1])
try:
    paths = TrainingPaths(backbone, tokenizer, out)
    train_target(paths, TrainingJob(model, [task], seed=1), StateSaver(Path(state), 0.0001))
except StiltgridError as error:
    sys.exit(str(error))
"""


def full_disk(place, toy, tokenizer, out, state, before=None, shell=()):
    """Train in a process of its own, which meets a limit on what it can write."""
    task = with_settings(toy, max_steps=3)
    arguments = json.dumps([task, dict(MODEL), str(place / "backbone"), str(tokenizer), str(out), str(state)])
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}
    command = [*shell, sys.executable, "-W", "ignore", "-c", FULL, arguments]
    return subprocess.run(command, env=environment, text=True, capture_output=True, preexec_fn=before, check=False)


def test_a_limit_on_files_ends_in_one_sentence_and_leaves_nothing(place, toy, tiny_tokenizer_folder, tmp_path):
    limit = (place / "tuned" / "model.safetensors").stat().st_size // 2

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    out, state = tmp_path / "tuned", tmp_path / "state" / f"job{SUFFIX}"
    result = full_disk(place, toy, tiny_tokenizer_folder, out, state, limited)
    assert f"{state}: state not saved" in result.stderr, "training continues without a saved state"
    assert f"{out}: no room to write it" in result.stderr.splitlines()[-1] and result.returncode == 1
    assert "finished jobs stay finished" in result.stderr and "Traceback" not in result.stderr
    assert (
        not out.exists()
        and not any(path.is_file() for path in state.parent.rglob("*"))
        and list(tmp_path.rglob("*.partial")) == []
    )
    enough = full_disk(place, toy, tiny_tokenizer_folder, out, state)
    assert enough.returncode == 0 and (out / "model.safetensors").is_file(), enough.stderr


def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing(place, toy, tiny_tokenizer_folder, tmp_path):
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64k none {disk}"
    try:
        subprocess.run([*mounted, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    after = f'{mount} && "$@"; status=$?; find {disk} -type f >&2; exit $status'
    result = full_disk(place, toy, tiny_tokenizer_folder, disk / "tuned", disk / "state", shell=[*mounted, after, "sh"])
    assert result.returncode == 1 and "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert f"{disk}/tuned: no room to write it" in last, "no file may be listed after the sentence"
