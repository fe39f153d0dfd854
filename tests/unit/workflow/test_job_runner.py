"""What every script does around its work: clean errors, tracebacks in the log, no network without leave."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from stiltgrid.utils.errors import SourceError
from stiltgrid.workflow import job_runner


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def fake_snakemake(log: Path) -> SimpleNamespace:
    return SimpleNamespace(log=[str(log)], rule="train_target", wildcards=["tiny", "none"], threads=1, resources={})


@pytest.mark.usefixtures("logging_restored")
def test_an_error_of_the_user_is_one_clean_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def main(snakemake: SimpleNamespace) -> None:
        raise SourceError("mnli/train.en.jsonl.gz is missing")

    with pytest.raises(SystemExit) as end:
        job_runner.run(main, fake_snakemake(tmp_path / "job.log"))
    assert end.value.code == 1
    assert capfd.readouterr().err == "train_target tiny none: mnli/train.en.jsonl.gz is missing\n"
    log = (tmp_path / "job.log").read_text()
    assert "mnli/train.en.jsonl.gz is missing" in log and "Traceback" not in log


@pytest.mark.usefixtures("logging_restored")
def test_any_other_error_leaves_its_traceback_in_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def main(snakemake: SimpleNamespace) -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(SystemExit) as end:
        job_runner.run(main, fake_snakemake(tmp_path / "job.log"))
    assert end.value.code == 1
    assert "ZeroDivisionError: by zero" in capfd.readouterr().err
    assert "Traceback" in (tmp_path / "job.log").read_text()


@pytest.mark.usefixtures("logging_restored")
def test_only_jobs_that_may_reach_the_network_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")  # restored afterwards
    monkeypatch.delenv("HF_HUB_OFFLINE")
    seen: list[str | None] = []
    job_runner.run(
        lambda _: seen.append(os.environ.get("HF_HUB_OFFLINE")), fake_snakemake(tmp_path / "a.log"), network=True
    )
    job_runner.run(lambda _: seen.append(os.environ.get("HF_HUB_OFFLINE")), fake_snakemake(tmp_path / "b.log"))
    assert seen == [None, "1"]
