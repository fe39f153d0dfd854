"""How far a run is: jobs done, jobs running, and the time that is left by the measured times of jobs."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

BENCHMARKS = Path("results/benchmarks")  # where the rules' `benchmark:` files are, a folder a rule
FILES_READ = 200  # benchmark files of an earlier run, a rule
SHOWN = 2  # running jobs that the progress line names
LATER = ""  # in place of a rule: jobs that a checkpoint has added, whose rules are not known before they start
MEASURED = 0.5  # share of the remaining jobs whose times must be known before a time is named


@dataclass(frozen=True)
class RunningJob:
    """A job that has started: its rule, the label of its log lines, and when it started (seconds)."""

    rule: str
    label: str
    since: float
    benchmark: str | None = None


class Progress:
    """Jobs of a run. Times are seconds of one clock, which the caller reads."""

    def __init__(self, planned: Iterable[str], earlier: Mapping[str, float] | None = None) -> None:
        """`planned` has the rule of every job of the run, `earlier` the mean seconds of rules in earlier runs."""
        self.left = Counter(planned)
        self.total = sum(self.left.values())
        self.done = 0
        self.running: dict[int, RunningJob] = {}
        self._earlier = dict(earlier or {})
        self._sums: dict[str, tuple[float, int]] = {}
        self._began: float | None = None

    def grow(self, jobs: int) -> None:
        """A checkpoint has added jobs to the run."""
        self.total += jobs
        self.left[LATER] += jobs

    def start(self, number: int, job: RunningJob) -> None:
        """A job has started. One that was not planned, as the target rule, is left out."""
        if job.rule not in self.left and not self.left[LATER]:
            return
        self._began = job.since if self._began is None else self._began
        self.running[number] = job

    def finish(self, number: int, now: float, seconds: float | None = None) -> RunningJob | None:
        """A job is done; `seconds` is its measured time, by default since its start. None where it never started."""
        job = self.running.pop(number, None)
        if job is None:
            return None
        self.done += 1
        self.left[job.rule if self.left[job.rule] > 0 else LATER] -= 1
        total, count = self._sums.get(job.rule, (0.0, 0))
        self._sums[job.rule] = (total + (now - job.since if seconds is None else seconds), count + 1)
        return job

    def fail(self, number: int) -> RunningJob | None:
        """A job has failed: it counts neither as done nor in the times."""
        return self.running.pop(number, None)

    def mean_seconds(self, rule: str) -> float | None:
        """Mean time of a rule's jobs in this run, else in earlier runs; None where none was measured."""
        total, count = self._sums.get(rule, (0.0, 0))
        return total / count if count else self._earlier.get(rule)

    def seconds_left(self, now: float) -> tuple[float | None, bool]:
        """Seconds until the run ends, and whether all remaining jobs are of rules that were measured.

        The measured times of the remaining jobs, less what running jobs have had, over the mean number of jobs at
        once so far. Jobs of rules that were never measured count nothing; None where they are the majority.
        """
        means = {rule: self.mean_seconds(rule) for rule, count in self.left.items() if count > 0}
        known = {rule: mean for rule, mean in means.items() if mean is not None}
        measured = sum(self.left[rule] for rule in known)
        if self._began is None or measured <= MEASURED * sum(self.left[rule] for rule in means):
            return None, False
        work = sum(mean * self.left[rule] for rule, mean in known.items())
        for job in self.running.values():
            if job.rule in known:
                work -= min(now - job.since, known[job.rule])
        return work / self._at_once(now), len(known) == len(means)

    def _at_once(self, now: float) -> float:
        """Mean number of jobs that ran at once; at first the number that runs."""
        assert self._began is not None
        busy = sum(total for total, _ in self._sums.values()) + sum(now - job.since for job in self.running.values())
        elapsed = now - self._began
        return max(1.0, busy / elapsed if elapsed > 1 else len(self.running))

    def line(self, now: float) -> str:
        """The progress line: jobs done, time left, running jobs with their seconds."""
        seconds, complete = self.seconds_left(now)
        left = "" if seconds is None else f" | {'about' if complete else 'more than'} {duration(seconds)} left"
        names = [f"{job.label} ({duration(now - job.since)})" for job in islice(self.running.values(), SHOWN)]
        more = len(self.running) - len(names)
        runs = ", ".join(names) + (f" and {more} more" if more else "")
        return f"{self.done} of {self.total} jobs{left}" + (f" | {runs}" if runs else "")


def duration(seconds: float) -> str:
    """Seconds as people say them: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 59.5:
        return f"{max(0, math.ceil(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def measured_seconds(path: str | Path | None) -> float | None:
    """Seconds in a benchmark file of Snakemake; None for a missing or unreadable one."""
    try:
        with Path(path or "").open(encoding="utf-8", newline="") as file:
            return float(next(csv.DictReader(file, delimiter="\t"))["s"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None


def earlier_seconds(folder: Path = BENCHMARKS) -> dict[str, float]:
    """Rule -> mean seconds of its jobs in earlier runs, from at most FILES_READ of its benchmark files."""
    means = {}
    for rule in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = [measured_seconds(path) for path in islice(rule.rglob("*.tsv"), FILES_READ)]
        known = [seconds for seconds in found if seconds is not None]
        if known:
            means[rule.name] = sum(known) / len(known)
    return means
