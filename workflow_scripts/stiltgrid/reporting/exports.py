"""The folders that XTREME's and XTREME-R's own `evaluate.py` reads, written from predictions.parquet.

`{task}/test-{language}.{tsv|json|jsonl}`, every official language of every task, rows in the official order. The
program compares file lengths, not ids, so sub-sampled test sets and missing languages are errors, reported all at once.
LAReQA is left out: XTREME-R's program has no languages for it and fails if its folder is present.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stiltgrid.grid.benchmarks import benchmarks
from stiltgrid.grid.grid import Grid
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.files import atomic_path, write_json

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

SPLIT = "test"
NOT_READ = ("lareqa",)
MANIFEST = "export.json"
# Published sizes of test sets, by language or one for all languages.
SIZES: Mapping[str, Mapping[str, int] | int] = {
    "xnli": 5010,
    "pawsx": 2000,
    "xquad": 1190,
    "xcopa": 500,
    "mlqa": {"en": 11590, "ar": 5335, "de": 4517, "es": 5253, "hi": 4918, "vi": 5495, "zh": 5137},
    "udpos": {"en": 5440, "kk": 1047, "tl": 55, "th": 1000, "yo": 100},
}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """A task of an export: the files of its predictions and evaluation rows, and facts from its card."""

    task: str
    family: str
    labels: tuple[str, ...]
    languages: tuple[str, ...]
    predictions: str
    rows: str
    intermediate: str
    examples: int | None = None


def exported_tasks(benchmark: str) -> tuple[str, ...]:
    """The tasks that `evaluate.py` reads for a benchmark (`xtreme` or `xtreme_r`)."""
    return tuple(task for task in benchmarks()[benchmark].tasks if task not in NOT_READ)


def grid_problems(grid: Grid, benchmark: str) -> list[str]:
    """What a grid lacks for an export: tasks, languages, test splits, complete test sets. Needs no results."""
    problems = []
    for task in exported_tasks(benchmark):
        if task not in grid.targets:
            problems.append(f"{task}: not among the targets")
            continue
        wanted, present = grid.cards[task].benchmarks.get(benchmark, ()), grid.languages(task)
        if absent := [code for code in wanted if code not in present]:
            problems.append(f"{task}: no rows in {' '.join(absent)}")
        if SPLIT not in grid.eval_splits(task):
            problems.append(f"{task}: source {grid.source} has no test split")
        if (examples := grid.evaluation_for(task).examples) is not None:
            problems.append(f"{task}: only {examples} examples are scored (evaluation.examples); set it to null")
    return problems


def refusal(benchmark: str, problems: Sequence[str]) -> str:
    """The error message that lists what is missing."""
    return (
        f"export_{benchmark}: the official program needs every task in every language, whole; missing:\n"
        + "\n".join(f"  - {problem}" for problem in problems)
        + f"\n(results/exports/{benchmark}_partial/… holds what is there)"
    )


def export_benchmark(
    benchmark: str, parts: Sequence[Part], out: str | Path, facts: Mapping[str, Any], partial: bool = False
) -> None:
    """Write a submission folder and `export.json`, which lists the sources of each file.

    Raises StiltgridError listing every task, language and sub-sampled file that is missing; with `partial` these
    are left out instead, and `evaluate.py` scores the complete tasks.
    """
    from stiltgrid.utils.parquet import read_parquet

    problems = [f"{task}: no predictions" for task in exported_tasks(benchmark) if task not in {p.task for p in parts}]
    made: dict[str, dict[str, Any]] = {}
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        for part in parts:
            predictions = read_parquet(part.predictions, filters=[("split", "==", SPLIT)])
            rows = read_parquet(part.rows, filters=[("split", "==", SPLIT)])
            sizes, lacking = _write_task(part, predictions, rows, temporary / part.task)
            problems += lacking
            made[part.task] = {"intermediate": part.intermediate, "predictions": part.predictions, "rows": sizes}
        if problems and not partial:
            raise StiltgridError(refusal(benchmark, problems))
        write_json({"benchmark": benchmark, **facts, "tasks": made, "lacks": problems}, temporary / MANIFEST)
    for problem in problems:
        log.warning("left out: %s", problem)
    log.info("%s: %d tasks in %s", benchmark, len(made), out)


def _write_task(
    part: Part, predictions: "pa.Table", rows: "pa.Table", folder: Path
) -> tuple[dict[str, int], list[str]]:
    """Write the files of a task; returns rows by language and what is missing."""
    writer = WRITERS[part.task]
    sizes: dict[str, int] = {}
    problems: list[str] = []
    absent = []
    for language in part.languages:
        there = _of_language(rows, language)
        if not there:
            absent.append(language)
            continue
        count = sum(row.get("role", "query") == "query" for row in there)
        if part.examples is not None and count >= part.examples and _size(part.task, language) != count:
            problems.append(f"{part.task} {language}: {count} examples, sub-sampled (evaluation.examples)")
            continue
        given = {row["id"]: row for row in _of_language(predictions, language)}
        _warn_of_size(part.task, language, count)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"test-{language}.{writer.suffix}"
        try:
            path.write_text(writer.text(part, language, there, given), encoding="utf-8", newline="\n")
        except _Unwritable as error:
            raise StiltgridError(f"{part.predictions}: {part.task} {language}: {error}") from None
        sizes[language] = count
    if absent:
        problems.append(f"{part.task}: no test rows in {' '.join(absent)}")
    return sizes, problems


def _of_language(table: "pa.Table", language: str) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    found: list[dict[str, Any]] = table.filter(pc.equal(table.column("language"), language)).to_pylist()
    return found


def _size(task: str, language: str) -> int | None:
    sizes = SIZES.get(task)
    return sizes.get(language) if isinstance(sizes, Mapping) else sizes


def _warn_of_size(task: str, language: str, count: int) -> None:
    size = _size(task, language)
    if size is not None and size != count:
        log.warning("%s %s: %d test rows here, %d in the published set", task, language, count, size)


@dataclass(frozen=True)
class Writer:
    """A file format: its suffix, and a function from a language's rows and predictions by id to the file's text."""

    suffix: str
    text: Callable[[Part, str, Sequence[Row], Mapping[str, Row]], str]


def _predicted(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> Iterator[tuple[Row, Any]]:
    """Rows with their predictions, in the rows' order (the official file's)."""
    for row in rows:
        if row["id"] not in given:
            raise StiltgridError(
                f"{part.predictions}: expected a prediction for {part.task} {language} '{row['id']}', found none; "
                "delete the file, so that the cell is scored again"
            )
        yield row, given[row["id"]]["prediction"]


def _label_names(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    return _lines(prediction for _, prediction in _predicted(part, language, rows, given))


def _label_numbers(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    return _lines(str(part.labels.index(prediction)) for _, prediction in _predicted(part, language, rows, given))


def _tags(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    return "".join(_lines(prediction) + "\n" for _, prediction in _predicted(part, language, rows, given))


def _answers(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    return _json({row["id"]: prediction for row, prediction in _predicted(part, language, rows, given)})


def _choices(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    return _lines(json.dumps({"label": prediction}) for _, prediction in _predicted(part, language, rows, given))


def _nearest(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    """Line numbers of the other language's file; the English sentences come sorted, as XTREME sorts them."""
    candidates = (row for row in rows if row["role"] == "candidate")
    number = {row["id"]: str(place) for place, row in enumerate(candidates)}
    if not all(name.endswith(f"-{language}") for name in number):
        raise StiltgridError(
            f"{part.task} {language}: expected English queries, found queries in {language}; "
            "the official direction is `direction: target_to_source`"
        )
    queries = sorted((row for row in rows if row["role"] == "query"), key=lambda row: str(row["text"]))
    return _lines(number[prediction] for _, prediction in _predicted(part, language, queries, given))


def _pairs(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    prefix = f"{language}-{SPLIT}-"
    pairs = ((row["id"], row["prediction"]) for row in given.values() if row["prediction"] is not None)
    return _lines("\t".join(_cell(name.removeprefix(prefix)) for name in pair) for pair in pairs)


def _entities(part: Part, language: str, rows: Sequence[Row], given: Mapping[str, Row]) -> str:
    queries = [row for row in rows if row["role"] == "query"]
    found = _predicted(part, language, queries, given)
    return _json({row["id"].removesuffix(f"_{language}"): prediction for row, prediction in found})


def _lines(items: Iterable[str]) -> str:
    return "".join(f"{_cell(item, tabs=True)}\n" for item in items)


class _Unwritable(StiltgridError):
    """A value that a file format cannot hold."""


def _cell(text: str, tabs: bool = False) -> str:
    """A text that stands in a line, or with `tabs` false in a cell of one, which the format cannot quote."""
    if not text.strip() or len(text.splitlines()) > 1 or (not tabs and "\t" in text):
        kinds = "line breaks" if tabs else "line breaks and tabs"
        raise _Unwritable(f"{text!r} cannot be exported: expected text without {kinds}, and not empty")
    return text


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=0) + "\n"


WRITERS: Mapping[str, Writer] = {
    "xnli": Writer("tsv", _label_names),
    "pawsx": Writer("tsv", _label_numbers),
    "udpos": Writer("tsv", _tags),
    "panx": Writer("tsv", _tags),
    "xquad": Writer("json", _answers),
    "mlqa": Writer("json", _answers),
    "tydiqa": Writer("json", _answers),
    "bucc2018": Writer("tsv", _pairs),
    "tatoeba": Writer("tsv", _nearest),
    "xcopa": Writer("jsonl", _choices),
    "mewslix": Writer("json", _entities),
}
