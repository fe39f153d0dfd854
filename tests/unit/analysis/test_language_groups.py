"""Transfer gap, worst language, families and scripts, by hand on the small grid of grids.py."""

import csv
from pathlib import Path

import pytest
from grids import layout, write_metrics
from stiltgrid.analysis.language_groups import group_of, known_languages, write_gaps
from stiltgrid.analysis.tables import collect_scores
from stiltgrid.utils.strict_yaml import read_yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tables(tmp_path: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    collect_scores(write_metrics(tmp_path / "cells"), tmp_path / "scores.parquet", synthetic=False)
    paths = [tmp_path / "gaps.tsv", tmp_path / "groups.tsv"]
    write_gaps(tmp_path / "scores.parquet", layout(), *paths)
    found = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            found.append(list(csv.DictReader(file, delimiter="\t")))
    return found[0], found[1]


def test_gap_and_worst_language(tables) -> None:
    rows = {(row["intermediate"], row["target"]): row for row in tables[0]}
    # none: English 70 and 72, others 55 and 54; mnli: 76 and 78, others 58 and 57.
    none, mnli = rows["none", "xnli"], rows["mnli", "xnli"]
    assert (none["gap"], mnli["gap"]) == ("16.5000", "19.5000")
    assert mnli["gap_less_none"] == "3.0000"
    assert (mnli["worst_language"], mnli["worst"], mnli["worst_gain"]) == ("zh", "55.5000", "-1.5000")
    assert (none["worst_language"], none["best_language"], none["best"]) == ("de", "en", "71.0000")
    assert rows["mnli", "tatoeba"]["gap"] == rows["mnli", "tatoeba"]["english"] == ""


def test_families_and_scripts(tables) -> None:
    rows = {(row["target"], row["kind"], row["group"]): row for row in tables[1] if row["intermediate"] == "mnli"}
    latin = rows["xnli", "script", "Latn"]
    assert (latin["members"], latin["languages"]) == ("de en", "2")
    assert float(latin["score"]) == pytest.approx((56 + 76 + 63 + 78) / 4)
    assert float(latin["gain"]) == pytest.approx((56 + 76 + 63 + 78 - 50 - 70 - 54 - 72) / 4)
    assert rows["xnli", "family", "Sino-Tibetan"]["members"] == "zh"


def test_every_language_of_the_catalogue_is_known() -> None:
    codes = {code for path in (ROOT / "tasks").glob("*.yaml") for code in read_yaml(path)["languages"]}
    assert codes <= set(known_languages())
    assert group_of("tlh", "family") == "unknown"


def test_scripts_are_iso_15924_codes() -> None:
    for language in known_languages().values():
        assert len(language.script) == 4 and language.script.istitle() and language.script.isascii()
        assert language.name and language.family and language.branch
