"""Published figures: what may be compared, with what of ours, and the difference."""

import csv
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.published import FIGURES, Figure, compare, read_figures, write_published
from stiltgrid.grid.benchmarks import benchmarks
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.reporting.plots_published import plot_published
from stiltgrid.utils.errors import ConfigError
from stiltgrid.utils.strict_yaml import read_yaml

LARGE = "FacebookAI/xlm-roberta-large"
ROOT = Path(__file__).parents[3]
COLUMNS = (Column("xnli", "accuracy", "test", ("de", "en", "sw"), "en"), Column("xquad", "f1", "test", ("de",)))
LAYOUT = Layout(("big", "small"), ("none", "mnli"), COLUMNS, (1, 2))
HUBS = {"big": LARGE, "small": None}
LANGUAGES = {"xnli": {"xtreme": ["de", "en"]}, "xquad": {"xtreme": ["de", "el"]}}


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    values = {"none": {"de": 70.0, "en": 90.0, "sw": 10.0}, "mnli": {"de": 80.0, "en": 90.0, "sw": 10.0}}
    rows = [
        {"model": model, "intermediate": row, "target": "xnli", "language": language, "split": split, "seed": seed,
         "metric": "accuracy", "value": value + 2 * seed, "n": 10}
        for model in LAYOUT.models
        for row, languages in values.items()
        for language, value in languages.items()
        for seed in LAYOUT.seeds
        for split in ("dev", "test")
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
    return tmp_path / "scores.parquet"


def figure(**changes) -> Figure:
    return replace(Figure(LARGE, "none", "xnli", "test", "accuracy", 79.2, "V", "a paper"), **changes)


def test_the_mean_is_over_the_official_languages_of_the_same_backbone(scores: Path) -> None:
    (found,) = compare(scores, LAYOUT, HUBS, LANGUAGES, [figure()])
    assert (found.model, found.row) == ("big", "none")
    assert found.ours.value == pytest.approx(80 + 3)  # de and en, not sw; seeds add 2 and 4
    assert found.difference == pytest.approx(83 - 79.2)
    assert found.ours.n == 2


def test_one_language_and_the_best_row(scores: Path) -> None:
    language, best = compare(scores, LAYOUT, HUBS, LANGUAGES, [figure(language="de"), figure(intermediate="best")])
    assert language.ours.value == pytest.approx(73)
    assert (best.row, best.ours.value) == ("mnli", pytest.approx(88))


@pytest.mark.parametrize(
    "other",
    [
        figure(certainty="M"), figure(model="google/rembert"), figure(target="pawsx"), figure(split="train"),
        figure(language="fr"), figure(target="xquad", metric="f1"), figure(intermediate="qqp"),
        figure(target="all_task", metric="average"),
    ],
)  # fmt: skip
def test_what_is_not_alike_is_not_compared(scores: Path, other: Figure) -> None:
    assert compare(scores, LAYOUT, HUBS, LANGUAGES, [other]) == []


def test_the_overall_average_needs_every_task(tmp_path: Path) -> None:
    tasks = {task: group for group, members in benchmarks()["xtreme"].groups.items() for task in members}
    languages = {task: {"xtreme": ["de"]} for task in tasks}
    rows = [
        {"model": "big", "intermediate": "none", "target": task, "language": "de", "split": "test", "seed": 1,
         "metric": metric, "value": 40.0 if metric == "exact_match" else 60.0, "n": 5}
        for task, group in tasks.items()
        for metric in (("f1", "exact_match") if group == "qa" else ("f1",))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
    layout = Layout(("big",), ("none",), tuple(Column(task, "f1", "test", ("de",)) for task in tasks), (1,))
    overall = figure(target="all_task", metric="average", value=68.2)
    (found,) = compare(tmp_path / "scores.parquet", layout, {"big": LARGE}, languages, [overall])
    assert found.ours.value == pytest.approx((6 * 60 + 3 * 50) / 9)


def test_the_table_and_the_plot(scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stiltgrid.analysis.published.read_figures", lambda: [figure(), figure(certainty="VS", value=90.0)]
    )
    write_published(scores, LAYOUT, HUBS, LANGUAGES, tmp_path / "published.tsv")
    with (tmp_path / "published.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["ours"], row["published"], row["difference"], row["certainty"]) for row in rows] == [
        ("83.0000", "79.2000", "3.8000", "read in the source"), ("83.0000", "90.0000", "-7.0000", "read, second-hand"),
    ]  # fmt: skip
    plot_published(scores, LAYOUT, HUBS, LANGUAGES, [tmp_path / "p.svg", tmp_path / "p.png"])
    drawn = (tmp_path / "p.svg").read_text(encoding="utf-8")
    assert "big, none: xnli accuracy, mean (test), 79.2 +3.8" in drawn and "2 figures, median distance" in drawn


def test_a_grid_without_published_figures_gets_a_head_and_a_sentence(scores: Path, tmp_path: Path) -> None:
    nothing = {"big": None, "small": None}
    write_published(scores, LAYOUT, nothing, LANGUAGES, tmp_path / "published.tsv")
    assert len((tmp_path / "published.tsv").read_text(encoding="utf-8").splitlines()) == 1
    plot_published(scores, LAYOUT, nothing, LANGUAGES, [tmp_path / "p.svg"])
    assert "No published figure" in (tmp_path / "p.svg").read_text(encoding="utf-8")


def test_the_data_file_names_tasks_metrics_and_sources_of_the_catalogue() -> None:
    figures = read_figures()
    cards = {path.stem: read_yaml(path) for path in (ROOT / "tasks").glob("*.yaml")}
    for item in figures:
        assert 0 < item.value < 100 and item.source and item.split in ("dev", "test")
        if item.target != "all_task":
            card = cards[item.target]
            assert item.metric in {card["metric"], *(("exact_match",) if card["family"] == "span" else ())}
            assert item.language is None or item.language in card["benchmarks"]["xtreme"]
        assert (item.certainty == "M") == ("memory" in item.source)
    keys = [
        (i.model, i.intermediate, i.target, i.language, i.split, i.metric, i.source)
        for i in figures
        if i.certainty != "VA"
    ]
    assert len(keys) == len(set(keys))


def test_sources_that_differ_stand_side_by_side() -> None:
    """Of X-STILTs' row on XTREME two tables are in circulation; the numbers are those of the two sources."""
    found: dict[str, dict[str, float]] = {}
    for item in read_figures():
        if (item.model, item.intermediate, item.metric != "exact_match") == (LARGE, "best", True):
            found.setdefault(item.target, {})["mt5" if "multilingual-t5" in item.source else "rembert"] = item.value
    both = {target: (values["rembert"], values["mt5"]) for target, values in found.items() if len(values) == 2}
    assert both == {
        "xnli": (80.0, 80.4), "pawsx": (87.9, 87.7), "panx": (64.0, 64.7), "xquad": (78.7, 77.2), "mlqa": (72.4, 72.3),
    }  # fmt: skip


def test_means_of_the_languages_are_the_means_given() -> None:
    figures = read_figures()
    for target in ("bucc2018", "tatoeba"):
        parts = [item.value for item in figures if item.target == target and item.language]
        (mean,) = [item.value for item in figures if item.target == target and item.certainty == "VA"]
        assert sum(parts) / len(parts) == pytest.approx(mean, abs=0.005)


def test_a_figure_without_certainty_is_refused(tmp_path: Path) -> None:
    text = FIGURES.read_text(encoding="utf-8").replace("certainty: V,", "certainty: sure,", 1)
    (tmp_path / "published.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"figure 1 .*certainty 'sure'"):
        read_figures(tmp_path / "published.yaml")
