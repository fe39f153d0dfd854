"""Averages of the benchmarks: per task, per group and overall, by the rule in each benchmark's file.

XTREME's and XTREME-R's rule is that of their `evaluate.py`: a task's number is the unweighted mean over its languages
of accuracy, F1 or mAP@20; in question answering the mean of F1 and exact match. A group's number is the mean of its
tasks, the overall one the mean of all tasks (not of the groups: XCOPA belongs to two groups of XTREME-R).
`evaluate.py` prints a group or overall number only when all its tasks are present in all their languages; such numbers
are marked `official` here, others list what is missing. Complete numbers of other benchmarks are marked `own`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stiltgrid.analysis.statistics import Estimate, estimate, paired_gain
from stiltgrid.analysis.tables import AnyPath, Cell, Transfer, read_transfer, write_tsv
from stiltgrid.grid.benchmarks import EXAMPLES, F1_AND_EXACT_MATCH, Benchmark, benchmarks
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout

ALL = "all_task"
COLUMNS = (
    "benchmark", "model", "intermediate", "level", "name", "split", "score", "sd", "gain", "gain_sd", "seeds",
    "languages", "official", "lacks",
)  # fmt: skip

Languages = Mapping[str, Mapping[str, Sequence[str]]]
Seeds = Mapping[int, float]


@dataclass(frozen=True)
class Average:
    """One number of a benchmark for one row, by seed; `lacks` lists what is missing for it to be complete."""

    level: str
    name: str
    split: str
    values: Seeds
    languages: int
    lacks: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all of the benchmark's tasks and languages are in this number; `evaluate.py` prints no others."""
        return not self.lacks


def write_official(scores_path: AnyPath, layout: Layout, languages: Languages, out: AnyPath) -> None:
    """Write `official.tsv`. `languages[task][benchmark]` lists a task's official languages (its card's)."""
    rows = _rows(read_transfer(scores_path, layout), exact_matches(scores_path, layout), languages)
    write_tsv(COLUMNS, rows, out, synthetic=layout.synthetic)


def exact_matches(scores_path: AnyPath, layout: Layout) -> Transfer:
    """The exact-match scores of the question answering targets of a layout."""
    asked = {task for item in benchmarks().values() for task, rule in item.rules.items() if rule == F1_AND_EXACT_MATCH}
    span = [column for column in layout.columns if column.target in asked]
    part = replace(layout, columns=tuple(replace(column, metric="exact_match") for column in span))
    return read_transfer(scores_path, part) if span else Transfer(part, (), ())


def _rows(headline: Transfer, exact: Transfer, languages: Languages) -> Iterator[dict[str, Any]]:
    layout = headline.layout
    for benchmark in benchmarks().values():
        for model in layout.models:
            rows = {row: averages(headline, exact, benchmark, model, row, languages) for row in layout.intermediates}
            baseline = {(item.level, item.name): item for item in rows.get(NONE, [])}
            for row, items in rows.items():
                for item in items:
                    yield _row(benchmark, model, row, item, baseline.get((item.level, item.name)))


def averages(
    headline: Transfer, exact: Transfer, benchmark: Benchmark, model: str, row: str, languages: Languages
) -> list[Average]:
    """Every number of a benchmark for one row, tasks first. Groups without any task are left out."""
    tasks = {}
    for task in benchmark.tasks:
        cell = headline.cell(model, row, task)
        if cell is not None:
            wanted = tuple(languages.get(task, {}).get(benchmark.name, ()))
            average = _task(cell, exact.cell(model, row, task), wanted, benchmark.rules.get(task))
            if average is not None:
                tasks[task] = average
    means = {name: _mean("group", name, members, tasks) for name, members in benchmark.groups.items()}
    groups = {name: mean for name, mean in means.items() if mean is not None}
    if benchmark.overall == "groups":
        overall = _mean("overall", ALL, list(benchmark.groups), groups, kind="groups")
    else:
        overall = _mean("overall", ALL, benchmark.tasks, tasks)
    return [*tasks.values(), *groups.values(), *([overall] if overall is not None else [])]


def _task(cell: Cell, exact: Cell | None, wanted: Sequence[str], rule: str | None) -> Average | None:
    column = cell.column
    present = [code for code in column.languages if code in wanted]
    lacks = [code for code in wanted if code not in column.languages]
    if not present or rule == F1_AND_EXACT_MATCH and exact is None:
        return None
    values = _pooled(cell, present) if rule == EXAMPLES else cell.by_seed(present)
    if rule == F1_AND_EXACT_MATCH and exact is not None:
        matches = exact.by_seed(present)
        values = {seed: (values[seed] + matches[seed]) / 2 for seed in values if seed in matches}
    reasons = [f"languages {' '.join(lacks)}"] if lacks else []
    if column.split != "test":
        reasons.append("the test split")
    return Average("task", column.target, column.split, values, len(present), tuple(reasons)) if values else None


def _pooled(cell: Cell, languages: Sequence[str]) -> dict[int, float]:
    """The mean over examples of all languages, by seed."""
    total = sum(cell.examples[code] for code in languages)
    return {
        seed: sum(scores[code] * cell.examples[code] for code in languages) / total
        for seed, scores in cell.values.items()
    }


def _mean(
    level: str, name: str, members: Sequence[str], tasks: Mapping[str, Average], kind: str = "tasks"
) -> Average | None:
    """The mean of a group's tasks, or of groups, over the seeds that all of them have; None without any."""
    found = [tasks[task] for task in members if task in tasks]
    seeds = set.intersection(*(set(item.values) for item in found)) if found else set()
    if not seeds:
        return None
    absent = [task for task in members if task not in tasks]
    partial = [item.name for item in found if item.lacks]
    lacks = [
        *([f"{kind} {' '.join(absent)}"] if absent else []),
        *([f"parts of {' '.join(partial)}"] if partial else []),
    ]
    values = {seed: estimate(item.values[seed] for item in found).value for seed in sorted(seeds)}
    splits = "+".join(sorted({item.split for item in found}))
    return Average(level, name, splits, values, sum(item.languages for item in found), tuple(lacks))


def _row(benchmark: Benchmark, model: str, row: str, item: Average, baseline: Average | None) -> dict[str, Any]:
    mean = estimate(item.values.values())
    alike = baseline is not None and baseline.lacks == item.lacks  # otherwise the two are means over different tasks
    gain: Estimate | None = paired_gain(item.values, baseline.values) if baseline and alike else None
    complete = "yes" if benchmark.official else "own"
    return {
        "benchmark": benchmark.name, "model": model, "intermediate": row, "level": item.level, "name": item.name,
        "split": item.split, "score": mean.value, "sd": mean.sd, "gain": gain and gain.value,
        "gain_sd": gain and gain.sd, "seeds": mean.n, "languages": item.languages,
        "official": complete if item.complete else "no", "lacks": "; ".join(item.lacks),
    }  # fmt: skip
