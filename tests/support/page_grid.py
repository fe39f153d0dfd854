"""A grid of two models, three rows, two targets and two seeds with everything that the results page reads.

Scores are computed here from the predictions, so that the tables' own checks hold.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from stiltgrid.analysis.language_groups import write_gaps
from stiltgrid.analysis.selection import write_best_rows
from stiltgrid.analysis.significance import write_significance
from stiltgrid.analysis.tables import collect_scores, write_transfer
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.reporting.page.page import PageFiles, TrainingLog
from stiltgrid.selection.answer import Answer, write_answers
from stiltgrid.selection.belief import Choice
from stiltgrid.selection.tables import ProposedCell

EVIL = "</script><script>window.broken = true</script><!-- <b onclick=alert(1)>bold</b> & \u2028 \U0001f600"
LABELS = ("yes", EVIL)
TAGS = ("NOUN", "VERB")
PAIRS = Column("pairs", "accuracy", "test", ("en", "de", "zh"), "en")
WORDS = Column("words", "accuracy", "dev", ("en", "de"), "en")
LAYOUT = Layout(("tiny", "small"), ("none", "mnli", "qqp"), (PAIRS, WORDS), (1, 2), True)
EXAMPLES = 12
FAMILIES = {
    "pairs": {"family": "sequence", "options": {"labels": list(LABELS)}},
    "words": {"family": "tagging", "options": {"labels": list(TAGS)}},
}
FACTS: Mapping[str, Any] = {
    "source": "minilab",
    "keep_tuned": True,
    "targets": {
        "pairs": {"family": "sequence", "labels": LABELS, "about": EVIL, "tuned": "pairs", "origin": "mini-lab"},
        "words": {"family": "tagging", "labels": TAGS, "about": "", "tuned": "", "origin": "mini-lab"},
    },
    "models": {"tiny": "folder models/tiny", "small": "pretrained in this grid"},
    "chains": {row: [row] for row in LAYOUT.intermediates},
}


@dataclass(frozen=True)
class PageGrid:
    """The files of the grid."""

    layout: Layout
    files: PageFiles


def write_grid(folder: Path, layout: Layout = LAYOUT) -> PageGrid:
    """Rows, predictions, scores, tables and logs below a folder."""
    rows = {column.target: _write_rows(folder, column) for column in layout.columns}
    draw = np.random.default_rng(7)
    predictions, metrics = {}, []
    for model in layout.models:
        for row in layout.intermediates:
            for column in layout.columns:
                for seed in layout.seeds:
                    path = folder / f"scores/{model}/{row}/{column.target}/seed{seed}/predictions.parquet"
                    metrics.append(_write_cell(path, (model, row, column, seed), draw))
                    predictions[model, row, column.target, seed] = path
    tables = folder / "tables"
    scores = tables / "scores.parquet"
    collect_scores(metrics, scores, synthetic=layout.synthetic)
    write_transfer(scores, layout, tables / "transfer.tsv", tables / "transfer_by_language.tsv")
    tests = (tables / "significance.tsv", tables / "significance_by_language.tsv")
    write_significance(scores, layout, FAMILIES, predictions, *tests, draws=100)
    write_best_rows(scores, layout, FAMILIES, predictions, tables / "best_rows.tsv", draws=100)
    write_gaps(scores, layout, tables / "language_gaps.tsv", tables / "language_groups.tsv")
    return PageGrid(layout, PageFiles(tables, predictions, rows, _write_logs(folder, layout)))


def with_selection(grid: PageGrid, path: Path, groups: bool = True) -> PageGrid:
    """The same grid with an answer of `snakemake select`: two models, two targets, one of them by language too."""
    rows = grid.layout.intermediates
    pairs, words = grid.layout.columns
    tried = ProposedCell("tiny", "qqp", "pairs", "full", 1, 2.5, 0.75, "")

    def answer(model: str, column: Column, row: int, probability: float, part: tuple[str, str]) -> Answer:
        choice = Choice(row, probability, 1.25 * (1 - probability), np.roll([probability, 1 - probability, 0.0], row))
        whole = part == ("all", "all")
        languages = column.languages if whole else (part[1],)
        score, gain = (60.25, 2.125) if whole else (None, None)
        after = tried if whole else None
        return Answer(model, column, *part, languages, choice, rows, 1, 2, 61.5, score, gain, 3.5, after)

    whole = ("all", "all")
    found = [answer("tiny", pairs, 1, 0.875, whole), answer("tiny", words, 2, 0.5, whole)]
    found += [answer("small", pairs, 0, 0.8, whole), answer("small", words, 1, 0.4, whole)]
    if groups:
        found.append(answer("tiny", pairs, 2, 0.6, ("language", "de")))
    write_answers(found, path, synthetic=grid.layout.synthetic)
    return replace(grid, files=replace(grid.files, selection=path))


def without_predictions(grid: PageGrid) -> PageGrid:
    """The same grid as an older one whose predictions, rows and logs are gone."""
    return replace(grid, files=replace(grid.files, predictions={}, rows={}, logs=()))


def _write_rows(folder: Path, column: Column) -> Path:
    path = folder / f"data/{column.target}/eval.parquet"
    path.parent.mkdir(parents=True)
    keys = [(language, number) for language in column.languages for number in range(EXAMPLES)]
    common = {
        "id": [f"{language}-{column.split}-{number}" for language, number in keys],
        "language": [language for language, _ in keys],
        "split": [column.split] * len(keys),
    }
    if column is WORDS:
        own = {"tokens": [["a", EVIL, "c"]] * len(keys), "tags": [[0, 1, 0]] * len(keys)}
    else:
        own = {"text_a": [f"text {number} {EVIL}" for _, number in keys], "text_b": [None] * len(keys)}
        own["label"] = [number % 2 for _, number in keys]
    pq.write_table(pa.table({**common, **own}), path)
    return path


def _write_cell(path: Path, cell: tuple[str, str, Column, int], draw: np.random.Generator) -> Path:
    model, row, column, seed = cell
    path.parent.mkdir(parents=True)
    share = {"none": 0.5, "mnli": 0.8, "qqp": 0.3}[row]
    lines, scores = [], []
    for language in column.languages:
        right = draw.random(EXAMPLES) < share
        for number in range(EXAMPLES):
            name = f"{language}-{column.split}-{number}"
            lines.append({"id": name, "language": language, "split": column.split, **_answer(column, number, right)})
        value = 100 * sum(line["score"] for line in lines[-EXAMPLES:]) / EXAMPLES
        score = {"language": language, "split": column.split, "metric": column.metric, "value": value, "n": EXAMPLES}
        scores.append(score)
    pq.write_table(pa.Table.from_pylist(lines), path)
    metrics = path.with_name("metrics.json")
    keys = {"model": model, "intermediate": row, "target": column.target, "seed": seed}
    made = {"device": "cpu", "code": "c0de", "seconds": 1.5, "versions": {"torch": "2.0"}}
    metrics.write_text(json.dumps({"cell": keys, "scores": scores, "provenance": made}))
    return metrics


def _answer(column: Column, number: int, right: np.ndarray) -> dict[str, Any]:
    good = bool(right[number])
    if column is WORDS:
        gold = ["NOUN", "VERB", "NOUN"]
        return {"prediction": gold if good else ["VERB"] * 3, "gold": gold, "score": 1.0 if good else 1 / 3}
    gold = LABELS[number % 2]
    return {"prediction": gold if good else LABELS[1 - number % 2], "gold": gold, "score": float(good)}


def _write_logs(folder: Path, layout: Layout) -> list[TrainingLog]:
    lines = [{"stage": "s", "step": step, "task": "pairs", "loss": 2 / step} for step in range(1, 11)]
    lines.insert(5, {"stage": "s", "step": 5, "dev": {"pairs": 50.0}, "score": 50.0})
    lines.append({"stage": "s", "step": 10, "dev": {"pairs": 61.5}, "score": 61.5})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    found = []
    for model in layout.models:
        for seed in layout.seeds:
            for row in layout.intermediates:
                for tuned in ("pairs",) if row == "none" else ("", "pairs"):
                    path = folder / f"logs/{model}/{row}/{tuned}{seed}.jsonl"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
                    found.append(TrainingLog(model, row, tuned, seed, str(path)))
    return found
