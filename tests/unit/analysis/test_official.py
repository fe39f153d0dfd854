"""XTREME's averages by hand, and what is said of those that evaluate.py would not print."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.official import write_official
from stiltgrid.grid.benchmarks import benchmarks
from stiltgrid.grid.layout import Column, Layout

LANGUAGES = {
    "xnli": {"xtreme": ["de", "en"], "xtreme_r": ["de", "en"]},
    "pawsx": {"xtreme": ["de"]},
    "xquad": {"xtreme": ["de", "en"], "xtreme_r": ["de", "en"]},
    "mlqa": {"xtreme": ["de"], "xtreme_r": ["de"]},
    "tydiqa": {"xtreme": ["en"], "xtreme_r": ["en"]},
    "lareqa": {"xtreme_r": ["de", "en"]},
}
LOW = {"sib200": ["am", "qu"], "afrixnli": ["am"], "americasnli": ["qu"], "indicxnli": ["or"], "masakhaner2": ["bm"],
       "belebele": ["am"], "include44": ["hy"], "flores": ["am"]}  # fmt: skip
LANGUAGES.update({task: {"low_resource": codes} for task, codes in LOW.items()})


def write(folder: Path, scores: dict, split: str = "test", seeds: tuple[int, ...] = (1,)) -> list[dict[str, str]]:
    """`scores[target][language][metric]` -> value, or (value, n); `none` scores a point less."""
    rows = [
        {"model": "tiny", "intermediate": name, "target": target, "language": language, "split": split, "seed": seed,
         "metric": metric, "value": (value[0] if isinstance(value, tuple) else value) - lower + 2.0 * (seed - 1),
         "n": value[1] if isinstance(value, tuple) else 10}
        for name, lower in (("none", 1.0), ("mnli", 0.0))
        for target, languages in scores.items()
        for language, metrics in languages.items()
        for metric, value in metrics.items()
        for seed in seeds
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "scores.parquet")
    columns = tuple(
        Column(target, next(iter(next(iter(languages.values())))), split, tuple(languages), "en")
        for target, languages in scores.items()
    )
    layout = Layout(("tiny",), ("none", "mnli"), columns, seeds)
    write_official(folder / "scores.parquet", layout, LANGUAGES, folder / "official.tsv")
    with (folder / "official.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def one(rows: list[dict[str, str]], benchmark: str, name: str, row: str = "mnli") -> dict[str, str]:
    (found,) = [r for r in rows if (r["benchmark"], r["intermediate"], r["name"]) == (benchmark, row, name)]
    return found


QA = {
    "xquad": {"de": {"f1": 60.0, "exact_match": 40.0}, "en": {"f1": 80.0, "exact_match": 70.0}},
    "mlqa": {"de": {"f1": 50.0, "exact_match": 30.0}},
    "tydiqa": {"en": {"f1": 30.0, "exact_match": 20.0}},
}


def test_question_answering_is_the_mean_of_f1_and_exact_match(tmp_path: Path) -> None:
    rows = write(tmp_path, QA)
    assert one(rows, "xtreme", "xquad")["score"] == "62.5000"  # (70 + 55) / 2
    group = one(rows, "xtreme", "qa")
    assert float(group["score"]) == pytest.approx((62.5 + 40 + 25) / 3, abs=1e-4)
    assert (group["level"], group["official"], group["lacks"], group["gain"]) == ("group", "yes", "", "1.0000")


def test_the_overall_number_is_a_mean_of_tasks_and_says_what_it_lacks(tmp_path: Path) -> None:
    scores = {**QA, "xnli": {"de": {"accuracy": 50.0}, "en": {"accuracy": 70.0}}, "pawsx": {"de": {"accuracy": 90.0}}}
    rows = write(tmp_path, scores)
    overall = one(rows, "xtreme", "all_task")
    assert float(overall["score"]) == pytest.approx((62.5 + 40 + 25 + 60 + 90) / 5, abs=1e-4)
    assert (overall["official"], overall["lacks"]) == ("no", "tasks udpos panx bucc2018 tatoeba")
    assert one(rows, "xtreme", "classification")["score"] == "75.0000"
    assert one(rows, "xtreme", "classification")["official"] == "yes"


def test_a_task_in_some_languages_or_on_dev_is_not_official(tmp_path: Path) -> None:
    part = one(write(tmp_path, {"xnli": {"de": {"accuracy": 50.0}}}), "xtreme", "xnli")
    assert (part["official"], part["lacks"]) == ("no", "languages en")
    both = {"xnli": {"de": {"accuracy": 50.0}, "en": {"accuracy": 70.0}}}
    rows = write(tmp_path, both, split="dev")
    assert one(rows, "xtreme", "xnli")["lacks"] == "the test split"
    assert one(rows, "xtreme", "classification")["lacks"] == "tasks pawsx; parts of xnli"


def test_languages_beyond_the_benchmark_do_not_count(tmp_path: Path) -> None:
    scores = {"xnli": {"de": {"accuracy": 50.0}, "en": {"accuracy": 70.0}, "qaa": {"accuracy": 0.0}}}
    assert one(write(tmp_path, scores), "xtreme", "xnli")["score"] == "60.0000"


def test_lareqa_counts_every_question_once(tmp_path: Path) -> None:
    rows = write(tmp_path, {"lareqa": {"de": {"map@20": (20.0, 30)}, "en": {"map@20": (60.0, 10)}}})
    assert one(rows, "xtreme_r", "lareqa")["score"] == "30.0000"
    assert not [row for row in rows if row["benchmark"] == "xtreme"]


def test_seeds_have_a_spread_and_gains_are_paired(tmp_path: Path) -> None:
    found = one(write(tmp_path, QA, seeds=(1, 2, 3)), "xtreme", "qa")
    assert (found["seeds"], found["sd"], found["gain_sd"]) == ("3", "2.0000", "0.0000")


def test_xcopa_is_in_two_groups_but_counts_once() -> None:
    assert sum("xcopa" in group for group in benchmarks()["xtreme_r"].groups.values()) == 2
    assert benchmarks()["xtreme_r"].tasks.count("xcopa") == 1
    assert len(benchmarks()["xtreme"].tasks) == 9 and len(benchmarks()["xtreme_r"].tasks) == 10


def test_our_own_benchmark_is_the_mean_of_its_groups_and_says_so(tmp_path: Path) -> None:
    scores = {
        task: {language: {"accuracy": 10.0 * number} for language in languages}
        for number, (task, languages) in enumerate(LOW.items())
    }
    rows = write(tmp_path, scores)
    assert one(rows, "low_resource", "classification")["score"] == "15.0000"  # 0, 10, 20, 30
    assert one(rows, "low_resource", "multi_choice")["score"] == "55.0000"
    overall = one(rows, "low_resource", "all_task")
    assert (overall["score"], overall["official"], overall["lacks"]) == ("45.0000", "own", "")  # 15, 40, 55, 70
    del scores["flores"]
    overall = one(write(tmp_path, scores), "low_resource", "all_task")
    assert (overall["official"], overall["lacks"]) == ("no", "groups retrieval")
