"""The progress line counts jobs, and its time left follows from the times of jobs, by hand."""

from pathlib import Path

import pytest
from stiltgrid.workflow.run_progress import (
    Progress,
    RunningJob,
    duration,
    earlier_seconds,
    measured_seconds,
)


def job(rule: str, since: float) -> RunningJob:
    return RunningJob(rule, f"{rule} x", since)


def test_time_left_is_measured_time_over_the_jobs_at_once() -> None:
    progress = Progress(["train"] * 6)
    progress.start(1, job("train", 0))
    progress.start(2, job("train", 0))
    assert progress.seconds_left(5) == (None, False), "nothing was measured"
    progress.finish(1, 10)
    progress.finish(2, 20, seconds=20)
    progress.start(3, job("train", 20))
    progress.start(4, job("train", 20))
    # Mean 15 s; four are left, two of them since 5 s: 4 x 15 - 2 x 5 = 50 s of work. At once so far: (10 + 20 + 2 x 5)
    # seconds of jobs in 25 s, 1.6.
    assert progress.seconds_left(25) == (pytest.approx(50 / 1.6), True)
    assert progress.line(25) == "2 of 6 jobs | about 32 s left | train x (5 s), train x (5 s)"


def test_a_job_that_takes_longer_than_its_kind_counts_no_less_than_nothing() -> None:
    progress = Progress(["train"] * 3, {"train": 10.0})
    progress.start(1, job("train", 0))
    assert progress.seconds_left(100) == (pytest.approx(20), True)


def test_times_of_earlier_runs_are_used_until_this_run_has_its_own() -> None:
    progress = Progress(["train", "train"], {"train": 100.0})
    progress.start(1, job("train", 0))
    assert progress.mean_seconds("train") == 100
    progress.finish(1, 8)
    assert progress.mean_seconds("train") == 8


def test_a_rule_without_times_makes_the_estimate_a_lower_bound_and_most_of_them_none() -> None:
    progress = Progress(["train", "train", "score"], {"train": 60.0})
    progress.start(1, job("train", 0))
    assert progress.seconds_left(0) == (pytest.approx(120), False)
    assert "more than 2 min left" in progress.line(0)
    unknown = Progress(["train", "score", "score"], {"train": 60.0})
    unknown.start(1, job("train", 0))
    assert unknown.seconds_left(0) == (None, False) and "left" not in unknown.line(0)


def test_jobs_that_a_checkpoint_adds_are_counted_and_have_no_time_of_their_own() -> None:
    progress = Progress(["rank", "train"], {"rank": 1.0, "train": 10.0})
    progress.start(1, job("rank", 0))
    progress.finish(1, 1)
    progress.grow(2)
    assert progress.line(1).startswith("1 of 4 jobs") and "left" not in progress.line(1), "most have no known time"
    for number, rule in enumerate(["train", "train", "collect"], 2):
        progress.start(number, job(rule, 1))
        progress.finish(number, 11)
    assert progress.line(11) == "4 of 4 jobs"
    progress.start(5, job("all", 11))
    assert progress.line(11) == "4 of 4 jobs", "the target rule is none of them"


def test_failed_jobs_are_not_done_and_may_start_again() -> None:
    progress = Progress(["train"])
    progress.start(1, job("train", 0))
    progress.fail(1)
    assert (progress.done, progress.left["train"], progress.running) == (0, 1, {})
    progress.start(1, job("train", 5))
    progress.finish(1, 9)
    assert progress.done == 1 and progress.line(9) == "1 of 1 jobs"


def test_jobs_that_were_not_planned_do_not_count() -> None:
    progress = Progress(["train"])
    progress.start(7, job("all", 0))
    progress.finish(7, 1)
    assert progress.done == 0 and progress.running == {}


def test_more_running_jobs_than_the_line_names_are_counted() -> None:
    progress = Progress(["train"] * 5)
    for number in range(5):
        progress.start(number, job("train", 0))
    assert progress.line(0.5).endswith("train x (1 s), train x (1 s) and 3 more")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (44.2, "45 s"),
        (59.6, "1 min"),
        (3540, "59 min"),
        (3599, "1 h"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_are_said_in_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_come_from_benchmark_files(tmp_path: Path) -> None:
    for name, seconds in (("a", "3.0"), ("b", "5.0")):
        file = tmp_path / "train_target/tiny" / f"{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:03\t10\n", encoding="utf-8")
    (tmp_path / "train_target/tiny/broken.tsv").write_text("", encoding="utf-8")
    assert earlier_seconds(tmp_path) == {"train_target": 4.0}
    assert measured_seconds(tmp_path / "none.tsv") is None and measured_seconds(None) is None
    assert earlier_seconds(tmp_path / "none") == {}
