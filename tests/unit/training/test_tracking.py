"""TensorBoard gets every line of the training log once, also of a job that died and resumed, and changes nothing."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from configurations import changed, load, problems
from stiltgrid.config.tracker_checks import PACKAGES
from stiltgrid.training import tracking
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.resume import SUFFIX, StateSaver
from stiltgrid.training.saved_state import SavedState
from stiltgrid.training.tracking import Tracking, values_of
from stiltgrid.training.training import train_target
from stiltgrid.utils import logs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_models import MODEL, sequence_card, with_settings, write_backbone, write_task

Train = Callable[..., None]
JOB = SimpleNamespace(rule="train_target", wildcards=["tiny", "none", "a+b", "1"], resources={"tracker": "tensorboard"})
RUN = "tracking/tensorboard/train_target/tiny/none/a+b/1"


class Died(BaseException):
    """Stands for kill -9: nothing of the job runs after it."""


class DyingSaver(StateSaver):
    """Saves the state before one step and dies before a later one."""

    def __init__(self, path: Path, saves: int, dies: int) -> None:
        super().__init__(path)
        self.saves, self.dies, self.step = saves, dies, 0

    def before_step(self, state: Callable[[], SavedState]) -> None:
        self.step += 1
        if self.step == self.saves:
            self.save(state())
        if self.step == self.dies:
            raise Died


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer_folder: Path) -> Train:
    """Trains two stages one after another."""
    place = tmp_path_factory.mktemp("tracking")
    write_backbone(place / "backbone", tiny_tokenizer_folder, hidden_dropout_prob=0.1)
    tasks = [
        with_settings(write_task(place / name, tiny_tokenizer_folder, sequence_card(name), train=40, seed=seed),
                      epochs=2.0, evaluate_every=4)
        for seed, name in enumerate(("first", "second"))
    ]  # fmt: skip

    def run(out: Path, saver: StateSaver | None = None) -> None:
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, out)
        train_target(paths, TrainingJob(MODEL, tasks, seed=1), saver)

    return run


def tracked(train: Train, folder: Path, out: Path, saver: StateSaver | None = None) -> None:
    """Train as a script does, with its tracker."""
    followed = tracking.follow(JOB)
    assert followed is not None
    followed.folder = folder / "tracking/tensorboard"
    try:
        train(out, saver)
    finally:
        followed.finish()


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Name -> (step, value) as TensorBoard shows them."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {name: [(each.step, each.value) for each in found.Scalars(name)] for name in found.Tags()["scalars"]}


def expected(out: Path) -> dict[str, list[tuple[int, float]]]:
    """The same from the training log, steps counted over both stages."""
    record = json.loads((out / "training.json").read_text())
    before = {"first": 0, "second": record["stages"][0]["steps"]}
    result: dict[str, list[tuple[int, float]]] = {}
    for line in map(json.loads, (out / "log.jsonl").read_text().splitlines()):
        stage = line["stage"]
        numbers = (
            {f"dev/{stage}": line["dev"][stage], "dev/mean": line["score"]}
            if "dev" in line
            else {f"loss/{stage}": line["loss"], "learning_rate": line["learning_rate"],
                  "gradient_norm": line["gradient_norm"]}
        )  # fmt: skip
        for name, value in numbers.items():
            result.setdefault(name, []).append((before[stage] + line["step"], pytest.approx(value, rel=1e-6)))
    return result


@pytest.fixture(scope="module")
def plain(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job without a tracker."""
    out = tmp_path_factory.mktemp("plain") / "out"
    train(out)
    return out


def test_tensorboard_shows_the_training_log_and_changes_no_number(train: Train, plain: Path, tmp_path: Path) -> None:
    tracked(train, tmp_path, tmp_path / "out")
    for name in ("model.safetensors", "log.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (plain / name).read_bytes(), name
    found = events(tmp_path / RUN)
    assert found == expected(plain) and {"loss/first", "loss/second", "dev/mean", "learning_rate"} <= set(found)
    assert not logs.listeners


@pytest.mark.parametrize(("saves", "dies"), [(6, 10), (3, 4), (8, 10)])
def test_a_job_that_died_goes_on_in_the_same_run_without_doubling(
    train: Train, plain: Path, tmp_path: Path, saves: int, dies: int
) -> None:
    state = tmp_path / f"state{SUFFIX}"
    with pytest.raises(Died):
        tracked(train, tmp_path, tmp_path / "out", DyingSaver(state, saves, dies))
    assert state.is_file()
    tracked(train, tmp_path, tmp_path / "out", StateSaver(state))
    assert (tmp_path / "out/log.jsonl").read_bytes() == (plain / "log.jsonl").read_bytes()
    assert events(tmp_path / RUN) == expected(plain)


def test_a_job_that_starts_anew_replaces_its_run(train: Train, plain: Path, tmp_path: Path) -> None:
    with pytest.raises(Died):
        tracked(train, tmp_path, tmp_path / "out", DyingSaver(tmp_path / f"state{SUFFIX}", 1000, 7))
    tracked(train, tmp_path, tmp_path / "out")
    assert events(tmp_path / RUN) == expected(plain)


def test_a_tracker_that_fails_is_left_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        requires_logging_directory = False

        def __init__(self, name: str) -> None: ...

        def start(self) -> None:
            raise ConnectionError("no service")

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "mlflow", Failing)
    followed = Tracking("mlflow", "train_target", ("tiny",), tmp_path)
    with caplog.at_level(logging.WARNING):
        followed.take({"begins_after": 0, "resumes_after": 0})
        followed.take({"stage": "a", "step": 1, "loss": 1.0})
        followed.finish()
    assert caplog.text.count("ConnectionError: no service; training continues without it") == 1


class Recorder:
    """Takes the place of a tracker of accelerate's."""

    started: list[tuple[str, dict[str, Any]]] = []
    requires_logging_directory = False

    def __init__(self, run_name: str, **settings: Any) -> None:
        self.started.append((run_name, settings))

    def start(self) -> None: ...


def test_other_trackers_resume_by_identity_or_begin_a_named_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "started", [])
    for tracker in ("wandb", "mlflow"):
        monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, tracker, Recorder)
        for step in (0, 8, 0):
            job = Tracking(tracker, "train_target", ("tiny", "1"), tmp_path)
            job.take({"begins_after": 0, "resumes_after": step})
            assert not job._broken
    wandb = [settings for _, settings in Recorder.started[:3]]
    assert wandb[0]["id"] == wandb[1]["id"] != wandb[2]["id"] and wandb[1]["resume"] == "allow"
    assert wandb[0]["name"] == "train_target/tiny/1"
    assert [name for name, _ in Recorder.started[3:]] == [
        "train_target/tiny/1", "train_target/tiny/1 from step 8", "train_target/tiny/1",
    ]  # fmt: skip


def test_lines_of_pretraining_have_no_task() -> None:
    assert values_of({"step": 3, "loss": 2.0, "learning_rate": 0.1}) == {"loss": 2.0, "learning_rate": 0.1}


def test_without_a_tracker_nothing_listens() -> None:
    assert tracking.follow(SimpleNamespace(rule="train_target", wildcards=[], resources={})) is None
    assert not logs.listeners


def test_the_trackers_are_those_of_accelerate() -> None:
    assert set(PACKAGES) == set(LOGGER_TYPE_TO_CLASS)
    assert load(changed(tracker="tensorboard")).tracker == "tensorboard"


def test_a_tracker_that_is_not_installed_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stiltgrid.config.tracker_checks.find_spec", lambda name: None)
    assert problems(changed(tracker="comet_ml")) == (
        "config: tracker: 'comet_ml' is not installed in this environment; run: pip install comet-ml",
    )
    (unknown,) = problems(changed(tracker="tensorbord"))
    assert "tracker" in unknown and "tensorboard" in unknown
