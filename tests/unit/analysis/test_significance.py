"""`significance.tsv` from predictions on disk: aligned by id, checked against the table of scores."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.cell_examples import read_examples
from stiltgrid.analysis.metric_counts import counted_metric
from stiltgrid.analysis.significance import write_significance
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.utils.errors import SourceError

NLI = Column("xnli", "accuracy", "test", ("de", "en"), "en")
MINED = Column("bucc2018", "f1", "test", ("de",), None)
FAMILIES = {"xnli": {"family": "sequence", "options": {}}, "bucc2018": {"family": "embedding", "options": {}}}
EXAMPLES = 60


def right_answers(language: str, chance: float, seed: int) -> list[bool]:
    generator = np.random.default_rng([seed, len(language), ord(language[0])])
    return (generator.random(EXAMPLES) < chance).tolist()


def write_nli(path: Path, chance: float, seed: int, order: int = 1) -> Mapping[str, float]:
    """Predictions of one cell, dev rows among them; returns the test accuracy of each language."""
    rows, scores = [], {}
    for language in NLI.languages:
        right = right_answers(language, chance, seed)
        scores[language] = 100 * sum(right) / len(right)
        for split, answers in (("dev", [False] * 5), ("test", right)):
            rows += [
                {"id": f"{language}-{split}-{number}", "language": language, "split": split, "prediction": "x",
                 "gold": "x", "score": float(answer)}
                for number, answer in enumerate(answers)
            ][::order]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return scores


class Grid:
    """Cells on disk, with their table of scores."""

    def __init__(self, folder: Path, seeds: tuple[int, ...] = (1, 2, 3)) -> None:
        self.folder = folder
        self.layout = Layout(("tiny",), ("none", "mnli", "qqp"), (NLI,), seeds)
        self.predictions: dict[tuple[str, str, str, int], Path] = {}
        self.rows: list[dict] = []
        for number, (row, chance) in enumerate({"none": 0.4, "mnli": 0.8, "qqp": 0.42}.items()):
            for seed in seeds:
                path = folder / row / f"seed{seed}" / "predictions.parquet"
                scores = write_nli(path, chance, 100 * number + seed, order=-1 if seed == 2 else 1)
                self.predictions["tiny", row, "xnli", seed] = path
                self.rows += [
                    {"model": "tiny", "intermediate": row, "target": "xnli", "language": language, "split": "test",
                     "seed": seed, "metric": "accuracy", "value": value, "n": EXAMPLES}
                    for language, value in scores.items()
                ]  # fmt: skip

    def write(self) -> tuple[list[dict], list[dict]]:
        scores, paths = self.folder / "scores.parquet", [self.folder / "one.tsv", self.folder / "two.tsv"]
        pq.write_table(pa.Table.from_pylist(self.rows), scores)
        write_significance(scores, self.layout, FAMILIES, self.predictions, *paths, draws=500)
        found = []
        for path in paths:
            with path.open(encoding="utf-8", newline="") as file:
                found.append(list(csv.DictReader(file, delimiter="\t")))
        return found[0], found[1]


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    return Grid(tmp_path)


def test_a_large_gain_is_found_and_a_small_one_is_not(grid: Grid) -> None:
    cells, languages = grid.write()
    rows = {row["intermediate"]: row for row in cells}
    assert set(rows) == {"mnli", "qqp"}
    mnli, qqp = rows["mnli"], rows["qqp"]
    mean = {
        name: np.mean([row["value"] for row in grid.rows if row["intermediate"] == name]) for name in ("none", "mnli")
    }
    assert float(mnli["gain"]) == pytest.approx(mean["mnli"] - mean["none"], abs=1e-4)
    assert float(mnli["low"]) > 0 and float(mnli["p_holm"]) < 0.05
    assert float(qqp["low"]) < 0 < float(qqp["high"]) and float(qqp["p"]) > 0.05
    assert float(mnli["p_holm"]) == pytest.approx(2 * float(mnli["p"]), rel=0.02)
    assert (mnli["seeds"], mnli["languages"], mnli["n"], mnli["split"]) == ("3", "2", "120", "test")
    assert mnli["remark"] == "fewer than five seeds: corrected p-values up to twice too small"
    assert mnli["statistic"] == "mean over examples"
    assert [(row["intermediate"], row["language"]) for row in languages] == [
        ("mnli", "de"), ("mnli", "en"), ("qqp", "de"), ("qqp", "en"),
    ]  # fmt: skip


def test_one_seed_says_what_it_does_not_see(tmp_path: Path) -> None:
    cells, _ = Grid(tmp_path, seeds=(1,)).write()
    assert {row["remark"] for row in cells} == {"one seed: training variance unseen"}
    assert all(row["sd"] == "" and row["low"] for row in cells)


def test_five_seeds_need_no_remark(tmp_path: Path) -> None:
    cells, languages = Grid(tmp_path, seeds=(1, 2, 3, 4, 5)).write()
    assert {row["remark"] for row in [*cells, *languages]} == {""}


def test_each_row_is_compared_at_the_seeds_that_it_shares_with_none(grid: Grid) -> None:
    """As in `transfer.tsv`: a seed that one row lacks changes no other row's gain and interval."""
    whole, _ = grid.write()
    grid.rows = [row for row in grid.rows if (row["intermediate"], row["seed"]) != ("qqp", 3)]
    cells, _ = grid.write()
    assert {row["intermediate"]: row["seeds"] for row in cells} == {"mnli": "3", "qqp": "2"}
    names = ("score", "gain", "low", "high", "p")
    assert [cells[0][name] for name in names] == [whole[0][name] for name in names]


def test_a_row_without_a_seed_of_none_is_not_compared(grid: Grid, caplog: pytest.LogCaptureFixture) -> None:
    lacking = {("qqp", 1), ("qqp", 2), ("none", 3)}
    grid.rows = [row for row in grid.rows if (row["intermediate"], row["seed"]) not in lacking]
    cells, _ = grid.write()
    assert [(row["intermediate"], row["seeds"]) for row in cells] == [("mnli", "2")]
    assert "tiny / qqp / xnli: no seed that `none` has too" in caplog.text


def test_a_row_with_other_examples_is_refused(grid: Grid) -> None:
    path = grid.predictions["tiny", "qqp", "xnli", 1]
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        row["id"] = row["id"].replace("de-test-7", "de-test-700")
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(
        SourceError, match=r"qqp/seed1.*expected the examples of .*none/seed1.* in de, found 2 .*'de-test-7'"
    ):
        grid.write()


def test_predictions_that_are_not_the_scores_are_refused(grid: Grid) -> None:
    path = grid.predictions["tiny", "mnli", "xnli", 2]
    write_nli(path, 0.1, 5)
    with pytest.raises(SourceError, match=r"mnli/seed2.*predictions give .* in de, the table of scores has"):
        grid.write()


def test_a_language_without_rows_is_refused(grid: Grid) -> None:
    path = grid.predictions["tiny", "none", "xnli", 1]
    table = pq.read_table(path)
    pq.write_table(table.filter(pa.compute.equal(table["language"], "de")), path)
    with pytest.raises(SourceError, match="expected test rows in en, found none"):
        grid.write()


def mined(path: Path, pairs: Mapping[str, tuple[str | None, list[str]]]) -> Path:
    rows = [
        {"id": name, "language": "de", "split": "test", "prediction": found, "gold": gold}
        for name, (found, gold) in pairs.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_mined_pairs_that_a_row_lacks_add_nothing(tmp_path: Path) -> None:
    one = mined(tmp_path / "one.parquet", {"q1": ("a", ["a"]), "q2": (None, ["b"])})
    two = mined(tmp_path / "two.parquet", {"q3": ("x", []), "q1": (None, ["a"]), "q2": ("b", ["b"])})
    scores = [[{"de": 200 / 3}], [{"de": 50.0}]]
    found = read_examples([[one], [two]], MINED, counted_metric("embedding", "f1"), scores)[0]
    assert found.clusters.tolist() == [0, 1, 2]
    assert found.counts[:, 0, 0].tolist() == [[1, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert found.counts[:, 1, 0].tolist() == [[0, 0, 1], [1, 1, 1], [0, 1, 0]]


def test_parallel_questions_are_one_draw(tmp_path: Path) -> None:
    path = tmp_path / "cell.parquet"
    scores = write_nli(path, 0.5, 1)
    german, english = read_examples([[path]], NLI, counted_metric("sequence", "accuracy"), [[scores]])
    assert german.clusters.tolist() == english.clusters.tolist() == list(range(EXAMPLES))
