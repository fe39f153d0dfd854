"""Every task of XTREME and XTREME-R from predictions to scores.parquet and to the folder that their program reads.

The program's labels are written from the mirror's own files, in their order and with their ids, not from our rows.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from architectures import write_folder
from stages_of_a_grid import MIRROR, ROOT, prepared, scored, tuned
from stiltgrid.analysis.tables import collect_scores
from stiltgrid.config.loading import load_grid
from stiltgrid.grid.grid import Grid, model_view
from stiltgrid.preparation.models import fetch_model
from stiltgrid.reporting.exports import Part, export_benchmark, exported_tasks
from xtreme_program import evaluate, file_of, tatoeba_labels

BENCHMARKS = ("xtreme", "xtreme_r")
POOLS = {"pool": "pool", "gold": "gold"}
LANGUAGES = {
    "xnli": ["de", "en", "sw", "zh"], "pawsx": ["de", "en", "zh"], "udpos": ["de", "en", "zh"],
    "panx": ["de", "en", "sw", "zh"], "xquad": ["de", "en", "zh"], "mlqa": ["de", "en", "zh"],
    "tydiqa": ["en", "sw"], "bucc2018": ["zh"], "tatoeba": ["de", "sw", "zh"],
    "xcopa": ["sw", "zh"], "mewslix": ["de", "en"],
}  # fmt: skip
FILES = {"xquad": "validation", "tydiqa": "validation", "tatoeba": "validation", "bucc2018": "gold",
         "mewslix": "mentions_test"}  # fmt: skip
ANSWERED = ("xquad", "mlqa", "tydiqa")
CONFIG: Mapping[str, Any] = {
    "source": "local", "intermediates": ["none"], "targets": list(LANGUAGES), "seeds": [1],
    "tasks": {
        **{task: {"languages": codes} for task, codes in LANGUAGES.items()},
        "bucc2018": {"languages": ["zh"], "local": {"splits": {"dev": POOLS, "test": POOLS}}},
        # More examples to choose the best step by than the fixtures have would be refused.
        "tydiqa": {"languages": ["en", "sw"], "dev_from_train": 3},
    },
    "training": {
        "all": {"max_steps": 30, "batch_size": 6, "learning_rate": 0.005, "micro_batch_tokens": 2000},
        "tasks": {"panx": {"target": {"max_steps": 100, "epochs": 100}}},
    },
}  # fmt: skip


def label_text(task: str, rows: list[dict[str, Any]]) -> str:
    """A language's official label file, from the rows of its file as published."""
    if task == "xnli":
        return "".join(("entailment", "neutral", "contradiction")[row["label"]] + "\n" for row in rows)
    if task == "pawsx":
        return "".join(f"{row['label']}\n" for row in rows)
    if task in ("udpos", "panx"):
        key = "pos_tags" if task == "udpos" else "ner_tags"
        return "\n".join("".join(f"{tag}\n" for tag in row[key]) for row in rows)
    if task == "tatoeba":
        return "".join(f"{label}\n" for label in tatoeba_labels([row["target_sentence"] for row in rows]))
    if task == "bucc2018":
        return "".join(f"{row['source_id']}\t{row['target_id']}\n" for row in rows)
    if task == "xcopa":
        return "".join(json.dumps(row) + "\n" for row in rows)
    if task == "mewslix":
        return json.dumps({item["example_id"]: [item["entity_id"]] for row in rows for item in row["mentions"]})
    texts = [{"id": row["id"], "answers": [{"text": text} for text in row["answers"]["text"]]} for row in rows]
    return json.dumps({"data": [{"paragraphs": [{"qas": texts}]}]})


def make_mining_easy(folder: Path) -> None:
    """Three gold sentences become what they translate: random weights find these, and no others."""
    english = {row["id"]: row["sentence"] for row in read_lines(folder / "pool.en.jsonl")}
    gold = {row["source_id"]: row["target_id"] for row in read_lines(folder / "gold.zh.jsonl")[:3]}
    rows = read_lines(folder / "pool.zh.jsonl")
    easy = [{**row, "sentence": english[gold[row["id"]]] if row["id"] in gold else row["sentence"]} for row in rows]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in easy)
    (folder / "pool.zh.jsonl").write_text(text, encoding="utf-8")


def make_an_answer_easy(path: Path) -> None:
    """One paragraph becomes its answer: whatever weights have learnt, no span in it is wholly wrong."""
    first, *rest = read_lines(path)
    text = "x x x x"
    rows = [{**first, "context": text, "answers": {"text": [text], "answer_start": [0]}}, *rest]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Grid, Path]:
    """scores.parquet, the submission folders and the program's `labels`, of a model with random weights."""
    folder = tmp_path_factory.mktemp("export")
    write_folder("xlm-roberta", folder / "original")
    shutil.copytree(ROOT / MIRROR, folder / "mirror")
    make_mining_easy(folder / "mirror/bucc2018")
    for task in ANSWERED:
        for language in LANGUAGES[task]:
            make_an_answer_easy(folder / "mirror" / task / f"{FILES.get(task, 'test')}.{language}.jsonl")
    models = {"tiny": {"path": str(folder / "original"), "pooling": "mean"}}
    grid = load_grid({**CONFIG, "data_dir": str(folder / "mirror"), "models": models}, ROOT)
    settings, model = model_view(grid.models["tiny"], "score"), folder / "model"
    fetch_model(grid.models["tiny"], model)
    (folder / "rows").mkdir()
    rows, parts, metrics = prepared(grid, folder / "rows"), [], []
    for task, languages in LANGUAGES.items():
        card = grid.cards[task]
        checkpoint = tuned(rows, model, folder, settings, model / "backbone", task)
        scored(rows, model, folder, settings, checkpoint, task, 4096, {"model": "tiny", "intermediate": "none",
                                                                       "target": task, "seed": 1})  # fmt: skip
        metrics.append(folder / f"{task}.json")
        evaluation = str(folder / "rows" / task / "eval.parquet")
        parts.append(Part(task, card.family, card.labels, tuple(languages), str(folder / f"{task}.parquet"),
                          evaluation, "none"))  # fmt: skip
        for language in languages:
            source = folder / "mirror" / task / f"{FILES.get(task, 'test')}.{language}.jsonl"
            path = file_of(folder / "labels", task, language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(label_text(task, read_lines(source)), encoding="utf-8")
    collect_scores(metrics, folder / "scores.parquet", synthetic=False)
    for benchmark in BENCHMARKS:
        wanted = exported_tasks(benchmark)
        export_benchmark(benchmark, [part for part in parts if part.task in wanted], folder / benchmark, {})
    return grid, folder


@pytest.mark.parametrize(
    ("benchmark", "task"), [(benchmark, task) for benchmark in BENCHMARKS for task in exported_tasks(benchmark)]
)
def test_the_program_finds_what_scores_parquet_says(finished: tuple[Grid, Path], benchmark: str, task: str) -> None:
    grid, folder = finished
    ours = {
        (row["language"], row["metric"]): row["value"]
        for row in pq.read_table(folder / "scores.parquet").to_pylist()
        if (row["target"], row["split"]) == (task, "test")
    }
    headline = grid.cards[task].metric
    for language in LANGUAGES[task]:
        found = evaluate(folder / benchmark, folder / "labels", task, language)
        assert headline in found
        for metric, value in found.items():
            assert ours[language, metric] == pytest.approx(value, abs=1e-6), (language, metric)
    # Scores of nothing but zeros or hundreds would be equal whatever is written.
    assert 0 < sum(ours[language, headline] for language in LANGUAGES[task]) < 100 * len(LANGUAGES[task])
