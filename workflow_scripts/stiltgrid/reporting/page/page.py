"""Writes `index.html`: collects tables, examples and curves, and fills the template with them as JSON."""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.analysis.example_sample import sample_examples
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.reporting.page.curves import read_curve
from stiltgrid.reporting.page.examples import shown_examples
from stiltgrid.reporting.page.provenance import provenance
from stiltgrid.reporting.page.selection import read_selection
from stiltgrid.reporting.page.tables import headline_scores, language_facts, read_tables
from stiltgrid.utils.files import atomic_path

log = logging.getLogger(__name__)
FOLDER = Path(__file__).parent
SAMPLE = 8  # examples of a language at most
MAX_BYTES = 6_000_000  # of the page; examples get what the rest leaves
POINTS, ALL_POINTS = 60, 24_000  # of a curve, and of all curves together
Json = dict[str, Any]
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class TrainingLog:
    """The log of one training job: of a row, or (with `tuned`) of a target's tuned model."""

    model: str
    intermediate: str
    tuned: str
    seed: int
    path: str


@dataclass(frozen=True)
class PageFiles:
    """What the page is made from. Cells, rows and logs may be missing; the page says so.

    `predictions` maps (model, intermediate, target, seed), `rows` each target to its canonical rows. `selection` is the
    answer of `snakemake select`, where there is one.
    """

    tables: Path
    predictions: Mapping[tuple[str, str, str, int], AnyPath]
    rows: Mapping[str, AnyPath]
    logs: Sequence[TrainingLog]
    selection: AnyPath | None = None


def write_page(layout: Layout, files: PageFiles, facts: Mapping[str, Any], out: AnyPath) -> None:
    """Write the page. `facts` has `targets` (family, labels, about, tuned), `models`, `chains` and `source`."""
    from stiltgrid.reporting.page.charts import program, specifications

    data = {
        **_layout(layout),
        **facts,
        "charts": specifications(layout.synthetic),
        "tables": read_tables(files.tables),
        "selection": read_selection(files.selection) if files.selection else None,
        "scores": headline_scores(files.tables / "scores.parquet", layout),
        "curves": _curves(files.logs),
        "provenance": provenance(files.predictions),
    }
    samples = _samples(layout, files, facts["targets"])
    bundle = program()
    rest = render({**data, "examples": within(samples, 0)}, bundle)
    data["examples"] = within(samples, MAX_BYTES - len(rest.encode()))
    text = render(data, bundle)
    if len(text.encode()) > MAX_BYTES:
        log.warning("%s: %.1f MB, more than %.0f MB, even without examples", out, len(text) / 1e6, MAX_BYTES / 1e6)
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(data: Mapping[str, Any], bundle: str) -> str:
    """The page's HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("page.html.j2")
    parts = {name: (FOLDER / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    shown = {"synthetic": data["synthetic"], "selection": data.get("selection") is not None}
    return template.render(**shown, data=embedded(data), bundle=bundle, **parts)


def embedded(value: Any) -> str:
    """JSON that may stand inside a `script` element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _layout(layout: Layout) -> Json:
    codes = list(dict.fromkeys(code for column in layout.columns for code in column.languages))
    return {
        "models_shown": layout.models,
        "rows": layout.intermediates,
        "columns": [
            {"target": column.target, "metric": column.metric, "split": column.split, "languages": column.languages}
            for column in layout.columns
        ],
        "seeds": layout.seeds,
        "synthetic": layout.synthetic,
        "languages": language_facts(codes),
    }


def _curves(logs: Sequence[TrainingLog]) -> list[Json]:
    present = [each for each in logs if Path(each.path).is_file()]
    points = max(10, min(POINTS, ALL_POINTS // max(1, len(present))))
    return [
        {
            "model": each.model, "row": each.intermediate, "tuned": each.tuned, "seed": each.seed,
            **read_curve(each.path, points),
        }
        for each in present
    ]  # fmt: skip


def _samples(layout: Layout, files: PageFiles, targets: Mapping[str, Json]) -> dict[str, Json]:
    """Target -> `seed`, `cells` and its languages' examples; a target without predictions or rows is left out."""
    found = {}
    for column in layout.columns:
        paths = _at_one_seed(layout, column, files)
        if not paths or not Path(files.rows.get(column.target, "")).is_file():
            continue
        seed = paths[next(iter(paths))][0]
        family, labels = targets[column.target]["family"], targets[column.target]["labels"]
        some = {cell: path for cell, (_, path) in paths.items()}
        samples = sample_examples(some, family, column.split, column.languages, SAMPLE, NONE)
        shown = shown_examples(samples, list(some), family, labels, files.rows[column.target], column.split)
        found[column.target] = {"seed": seed, "cells": list(some), "languages": shown}
    return found


def _at_one_seed(layout: Layout, column: Column, files: PageFiles) -> dict[tuple[str, str], tuple[int, AnyPath]]:
    """Cell -> the seed that most cells of a target have (the first of such) and its predictions, where they exist."""
    present: dict[int, dict[tuple[str, str], tuple[int, AnyPath]]] = {}
    for seed in layout.seeds:
        for model in layout.models:
            for row in layout.intermediates:
                path = files.predictions.get((model, row, column.target, seed))
                if path is not None and Path(path).is_file():
                    present.setdefault(seed, {})[model, row] = (seed, path)
    return max(present.values(), key=len, default={})


def within(samples: Mapping[str, Json], room: int) -> Json:
    """The samples cut to `room` bytes: every language loses its last examples first, the most telling ones stay."""
    ranked = sorted(
        (rank, target, language, len(embedded(example).encode()) + 1)
        for target, sample in samples.items()
        for language, part in sample["languages"].items()
        for rank, example in enumerate(part["examples"])
    )
    kept: dict[tuple[str, str], int] = {}
    for rank, target, language, size in ranked:
        room -= size
        if room < 0:
            break
        kept[target, language] = rank + 1
    return {
        target: {**sample, "languages": dict(_cut(target, sample["languages"], kept))}
        for target, sample in samples.items()
    }


def _cut(target: str, languages: Mapping[str, Json], kept: Mapping[tuple[str, str], int]) -> Iterable[tuple[str, Json]]:
    for language, part in languages.items():
        yield language, {**part, "examples": part["examples"][: kept.get((target, language), 0)]}
