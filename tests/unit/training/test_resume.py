"""Resumed training writes the bytes of undisturbed training, and a job never loads the state of another."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from signalling_saver import SignallingSaver
from stiltgrid.data.raw_text import SCHEMA
from stiltgrid.grid.grid import Recipe
from stiltgrid.grid.params import as_params
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.language_task import encode_text
from stiltgrid.training.resume import SUFFIX, Interrupted, StateSaver, job_digest, job_state_saver
from stiltgrid.training.saved_state import SavedState
from stiltgrid.training.training import train_intermediate, train_target
from stiltgrid.utils.errors import StiltgridError
from tiny_models import MODEL, sequence_card, with_settings, write_backbone, write_task


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_tokenizer_folder):
    folder = tmp_path_factory.mktemp("resume")
    write_backbone(folder / "backbone", tiny_tokenizer_folder, hidden_dropout_prob=0.1)
    write_task(folder / "toy", tiny_tokenizer_folder, sequence_card())
    rows = [{"language": "en", "text": "The old lighthouse stands on a cliff."}] * 30
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "text.parquet")
    encode_text(folder / "text.parquet", tiny_tokenizer_folder, folder / "text.arrow", 24, folder / "backbone")
    return folder


@pytest.fixture(scope="module")
def tasks(place, tiny_tokenizer_folder):
    """Two tasks; the second is trained after (or beside) the first."""
    second = write_task(place / "second", tiny_tokenizer_folder, sequence_card("second"), train=50, seed=9)
    first = write_task(place / "first", tiny_tokenizer_folder, sequence_card("first"))
    # Of a mixture's evaluations some are left out, and the second task alone evaluates a part of its examples.
    evaluations = {"evaluate_every": 4, "patience": 3, "dev_share": 0.25}
    return [with_settings(first, epochs=2.0, **evaluations), with_settings(second, epochs=2.0)]


def facts_of(folder):
    """All that a job writes, without times."""
    record = json.loads((folder / "training.json").read_text())
    record.pop("seconds"), record.pop("resumed", None)
    for stage in record["stages"]:
        stage.pop("seconds")
    return (folder / "model.safetensors").read_bytes(), (folder / "log.jsonl").read_bytes(), record


def tune(place, tokenizer, tasks, out, saver=None):
    paths = TrainingPaths(place / "backbone", tokenizer, out)
    train_target(paths, TrainingJob(MODEL, tasks, seed=1), saver)
    return facts_of(out)


def mix(place, tokenizer, tasks, out, saver=None):
    recipe = as_params(Recipe("mix", ("first", "second")))
    paths = TrainingPaths(place / "backbone", tokenizer, out)
    train_intermediate(paths, TrainingJob(MODEL, tasks, seed=1), recipe, saver=saver)
    return facts_of(out)


def mix_with_text(place, tokenizer, tasks, out, saver=None):
    mlm = {"languages": ["en"], "rate": 0.4, "batch_size": 4}
    recipe = {**as_params(Recipe("mix", ("first", "second"), mlm=mlm)), "text": str(place / "text.arrow")}
    paths = TrainingPaths(place / "backbone", tokenizer, out)
    train_intermediate(paths, TrainingJob(MODEL, tasks, seed=1), recipe, saver=saver)
    return facts_of(out)


@pytest.fixture(scope="module", params=[tune, mix, mix_with_text], ids=["stages", "mixture", "language modelling"])
def job(request, place, tasks, tiny_tokenizer_folder, tmp_path_factory):
    """Runs one job; with it, what the undisturbed job gives."""

    def run(out, saver=None):
        return request.param(place, tiny_tokenizer_folder, tasks, out, saver)

    return run, run(tmp_path_factory.mktemp("undisturbed") / "out")


@pytest.mark.parametrize(
    ("at", "number", "where"),
    [
        (1, signal.SIGTERM, "step"),
        (6, signal.SIGUSR1, "step"),
        (11, signal.SIGTERM, "step"),
        (15, signal.SIGUSR1, "step"),
        (1, signal.SIGTERM, "evaluation"),
        (3, signal.SIGTERM, "evaluation"),
    ],
)
def test_a_stopped_job_resumes_to_the_same_bytes(job, tmp_path, at, number, where):
    run, undisturbed = job
    state = tmp_path / "state" / f"job{SUFFIX}"
    with pytest.raises(Interrupted, match=f"stopped by {signal.Signals(number).name}; state saved in .*job"):
        run(tmp_path / "out", SignallingSaver(state, at, number, where))
    assert state.is_file() and not (tmp_path / "out").exists()
    assert run(tmp_path / "out", StateSaver(state)) == undisturbed
    assert json.loads((tmp_path / "out" / "training.json").read_text())["resumed"]
    assert not state.exists(), "the state is removed once the output is complete"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_job_may_be_stopped_at_every_step(job, tmp_path):
    run, undisturbed = job
    state, attempts = tmp_path / "state" / f"job{SUFFIX}", 0
    while True:
        attempts += 1
        try:
            found = run(tmp_path / "out", SignallingSaver(state, 4))
            break
        except Interrupted:
            assert attempts < 20
    assert attempts > 4 and found == undisturbed


def test_state_is_saved_at_intervals_without_a_signal(job, tmp_path):
    run, undisturbed = job
    state = tmp_path / "state" / f"job{SUFFIX}"

    class Killed(BaseException):
        pass

    class Dying(StateSaver):
        steps = 0

        def before_step(self, state):
            super().before_step(state)
            self.steps += 1
            if self.steps == 9:
                raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "out", Dying(state, seconds=0.0001))
    assert run(tmp_path / "out", StateSaver(state)) == undisturbed


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_damaged_state_is_named_and_not_used(job, tmp_path, caplog, harm):
    run, undisturbed = job
    state = tmp_path / f"job{SUFFIX}"
    with pytest.raises(Interrupted):
        run(tmp_path / "out", SignallingSaver(state, 5))
    data = bytearray(state.read_bytes())
    data[-3] ^= 1
    state.write_bytes({"cut": bytes(data[:-100]), "flip": bytes(data), "empty": b""}[harm])
    assert run(tmp_path / "out", StateSaver(state)) == undisturbed
    assert f"{state}: damaged state is not used" in caplog.text


def test_a_state_that_cannot_be_saved_does_not_stop_training(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    saver = StateSaver(tmp_path / "file" / f"job{SUFFIX}")
    assert saver.save(SavedState({"a": torch.ones(2)})) is False
    assert "state not saved" in caplog.text


def test_a_job_resumes_with_the_threads_that_it_began_with(place, tiny_tokenizer_folder, tasks, tmp_path, caplog):
    """Given other cores, it keeps its state and rounds its sums as before; a new job takes what it is given."""
    caplog.set_level("INFO")
    before = torch.get_num_threads()
    state = tmp_path / f"state{SUFFIX}"
    used = []

    class Watching(SignallingSaver):
        def save(self, state):
            used.append(torch.get_num_threads())
            return super().save(state)

    def job(threads, saver):
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, tmp_path / "out")
        train_target(paths, TrainingJob(MODEL, tasks[:1], seed=1, threads=threads), saver)

    try:
        with pytest.raises(Interrupted):
            job(2, Watching(state, at=3))
        assert used == [2]
        with pytest.raises(Interrupted):
            job(1, Watching(state, at=2))
        assert used == [2, 2] and "resumes with the 2 threads that it began with, not the 1 given now" in caplog.text
        state.unlink()
        with pytest.raises(Interrupted):
            job(1, Watching(state, at=2))
        assert used == [2, 2, 1]
    finally:
        torch.set_num_threads(before)


def test_a_damaged_state_says_nothing_about_threads(tmp_path):
    (tmp_path / f"state{SUFFIX}").write_bytes(b"damaged")
    assert StateSaver(tmp_path / f"state{SUFFIX}").threads(3) == 3
    assert StateSaver().threads(4) == 4


def snakemake_job(tmp_path, **changes):
    (tmp_path / "input").write_text("rows")
    values = {
        "rule": "train_target",
        "wildcards": {"model": "tiny", "seed": "1"},
        "threads": 1,
        "input": [tmp_path / "input"],
        "resources": {},
        "params": {"tasks": [{"settings": {"learning_rate": 1e-3}}], "code": "abc"},
    }
    values |= changes
    job = SimpleNamespace(**values)
    job.wildcards, job.params = Named(values["wildcards"]), Named(values["params"])
    return job


class Named(dict):
    """Iterates over values, as Snakemake's lists with names do."""

    def __iter__(self):
        return iter(self.values())


def test_only_the_same_job_has_the_same_digest(tmp_path):
    digest = job_digest(snakemake_job(tmp_path))
    os.utime(tmp_path / "input", ns=(0, (tmp_path / "input").stat().st_mtime_ns))
    assert job_digest(same := snakemake_job(tmp_path)) != digest, "written again: another time of change"
    digest = job_digest(same)
    changes = [
        {"wildcards": {"model": "tiny", "seed": "2"}},
        {"rule": "train_intermediate"},
        {"params": {"tasks": [{"settings": {"learning_rate": 2e-3}}], "code": "abc"}},
        {"params": {"tasks": [{"settings": {"learning_rate": 1e-3}}], "code": "xyz"}},
    ]
    state = (tmp_path / "input").stat()
    found = set()
    for change in changes:
        job = snakemake_job(tmp_path, **change)
        os.utime(tmp_path / "input", ns=(state.st_atime_ns, state.st_mtime_ns))
        found.add(job_digest(job))
    assert len(found) == len(changes) and digest not in found
    job = snakemake_job(tmp_path, resources={"save_seconds": 5, "runtime": 10}, threads=2)
    os.utime(tmp_path / "input", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert job_digest(job) == digest, "how often to save, how long to run and with how many cores change no result"


def test_a_job_of_several_processes_has_a_state_of_its_own(tmp_path, monkeypatch):
    job = snakemake_job(tmp_path)
    alone = job_digest(job)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert job_digest(job) == alone, "a variable that clusters set for every job"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert job_digest(job) != alone


def test_stale_state_of_a_changed_job_is_removed_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = snakemake_job(tmp_path)
    saver = job_state_saver(job)
    assert saver.path.name.startswith("tiny,1.")
    saver.save(SavedState({"a": torch.ones(2)}))
    other = job_state_saver(snakemake_job(tmp_path, wildcards={"model": "tiny", "seed": "11"}))
    other.save(SavedState({"a": torch.ones(2)}))
    half = saver.path.with_name(f".{saver.path.name}.123.partial")
    half.write_bytes(b"half")
    changed = job_state_saver(snakemake_job(tmp_path, params={"code": "new"}))
    assert changed.load() is None
    assert [path.resolve() for path in Path("results/resume").rglob("*") if path.is_file()] == [other.path.resolve()]


def test_an_interval_of_zero_saves_nothing(tmp_path):
    saver = job_state_saver(snakemake_job(tmp_path, resources={"save_seconds": 0}), tmp_path / "resume")
    assert saver.path is None and saver.load() is None and not saver.save(SavedState())
    assert issubclass(Interrupted, StiltgridError)
