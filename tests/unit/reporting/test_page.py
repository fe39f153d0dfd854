"""The results page without a browser: what it embeds, how large it gets, what examples and curves hold."""

import json
import re
from pathlib import Path

import page_grid
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from large_page import write_large_grid
from page_grid import EVIL, FACTS, PageGrid
from stiltgrid.analysis.columns import TABLES, explanation
from stiltgrid.analysis.example_sample import Answer, Sample, Sampled
from stiltgrid.reporting.page.curves import read_curve
from stiltgrid.reporting.page.examples import shown_examples
from stiltgrid.reporting.page.page import MAX_BYTES, embedded, within, write_page
from stiltgrid.reporting.page.tables import read_tables
from stiltgrid.utils.errors import SourceError

NONE, OWN = ("m", "none"), ("m", "mnli")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> PageGrid:
    return page_grid.write_grid(tmp_path_factory.mktemp("grid"))


def data_of(page: Path) -> dict:
    found = re.search(
        r'<script id="data" type="application/json">(.*?)</script>', page.read_text(encoding="utf-8"), re.S
    )
    assert found
    return json.loads(found[1])


def test_embedded_json_cannot_end_the_script_and_is_read_back_as_it_was() -> None:
    text = embedded({"a": EVIL, "b": "]]>\u2029"})
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == {"a": EVIL, "b": "]]>\u2029"}
    with pytest.raises(ValueError, match="JSON compliant"):
        embedded(float("nan"))


def test_the_page_is_one_file_of_its_own_and_the_same_for_the_same_input(grid: PageGrid, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_page(grid.layout, grid.files, FACTS, tmp_path / name / "index.html")
    text = (tmp_path / "a/index.html").read_text(encoding="utf-8")
    assert text == (tmp_path / "b/index.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "a").iterdir())) == 1
    assert text.count("</script>") == text.count("<script") == 3  # data, program, page
    assert not re.search(r'(?:src|href)="https?:', text)


def test_every_table_is_carried_as_it_is(grid: PageGrid) -> None:
    import pandas as pd

    found = {table["file"]: table for table in read_tables(grid.files.tables)}
    absent = ("scores.parquet", "official.tsv", "published.tsv")
    assert list(found) == [name for name in TABLES if name not in absent]
    for name, table in found.items():
        frame = pd.read_csv(grid.files.tables / name, sep="\t", keep_default_na=False, na_values=[""])
        assert [column["name"] for column in table["columns"]] == list(frame.columns)
        for column in table["columns"]:
            words = column.get("words")
            values = [words[value] if words else value for value in column["values"]]
            given = [None if pd.isna(value) else value for value in frame[column["name"]]]
            assert [value if value != "" else None for value in values] == [
                str(v) if words and v is not None else v for v in given
            ]


def test_columns_are_explained_as_beside_the_tables(grid: PageGrid) -> None:
    for table in read_tables(grid.files.tables):
        for column in table["columns"]:
            assert column["about"] == explanation(column["name"], table["file"])


def test_a_loss_is_a_mean_and_development_scores_keep_the_last(tmp_path: Path) -> None:
    lines = [{"step": step, "loss": float(step)} for step in range(1, 8)]
    lines += [{"step": step, "dev": {"a": float(step)}, "score": 1.0} for step in range(1, 6)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_curve(tmp_path / "log.jsonl", 3)
    # Seven losses in three parts of three, three and one; every second of five scores, from the end.
    assert found == {"steps": 7, "loss": [[3, 2.0], [6, 5.0], [7, 7.0]], "dev": {"a": [[1, 1.0], [3, 3.0], [5, 5.0]]}}
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\nno json\n')
    with pytest.raises(SourceError, match="line 2: expected a record of a step"):
        read_curve(tmp_path / "log.jsonl", 3)


def shown(tmp_path: Path, family: str, rows: list[dict], answers: dict, labels: tuple[str, ...] = ()) -> dict:
    common = {"language": "de", "split": "test"}
    pq.write_table(pa.Table.from_pylist([{**common, **row} for row in rows]), tmp_path / "eval.parquet")
    samples = {"de": Sample(len(rows), (Sampled(rows[0]["id"], answers),))}
    found = shown_examples(samples, [NONE, OWN], family, labels, tmp_path / "eval.parquet", "test")
    assert found["de"]["total"] == len(rows)
    return found["de"]["examples"][0]


def test_examples_of_every_family(tmp_path: Path) -> None:
    span = {
        "id": "q",
        "context": "x" * 900 + "Bonn" + "y" * 900,
        "question": "Wo?",
        "answer_texts": ["Bonn"],
        "answer_starts": [900],
    }
    found = shown(tmp_path, "span", [span], {OWN: Answer("Bonn am", False, {"f1": 2 / 3, "exact_match": 0.0})})
    assert found["gold"] == "Bonn" and found["cells"] == [None, ["Bonn am", 0, "F1 0.67"]]
    assert "Bonn" in found["texts"][1][1] and len(found["texts"][1][1]) == 502  # 500 and an ellipsis on both sides
    choice = {"id": "c", "context": "Why?", "choices": ["a", "b"], "label": 1}
    found = shown(tmp_path, "choice", [choice], {OWN: Answer(1, True, {}), NONE: Answer("0", False, {})})
    assert found["gold"] == "2: b" and found["cells"] == [["option 1", 0, ""], ["option 2", 1, ""]]
    words = {"id": "t", "tokens": ["w"] * 50, "tags": [0] * 50}
    given = ["A"] * 49 + ["B"]
    found = shown(
        tmp_path,
        "tagging",
        [words],
        {OWN: Answer(given, False, {}), NONE: Answer(" ".join(given), False, {})},
        ("A", "B"),
    )
    assert len(found["words"]) == 40 and found["cut"]
    assert found["cells"] == [[[[49, "B"]], 0, "49 of 50 words right"]] * 2
    pair = {"text_pair": None, "gold": ["k"]}
    pool = [
        {"id": "q", "role": "query", "text": "Frage", **pair},
        {"id": "k", "role": "candidate", "text": "Antwort", **pair},
    ]
    found = shown(
        tmp_path,
        "dual",
        pool,
        {OWN: Answer(["q", "k"], False, {"ranks": [2]}), NONE: Answer(["k"], True, {"ranks": [1]})},
    )
    assert found["gold"] == "Antwort"
    assert found["cells"] == [["Antwort", 1, ""], ["Frage", 0, "first relevant at rank 2"]]
    found = shown(tmp_path, "embedding", pool, {OWN: Answer(None, False, {"gold": ["k"]})})
    assert found["cells"] == [None, ["(no pair)", 0, ""]]


def test_examples_give_way_where_the_page_is_full() -> None:
    part = {"total": 9, "examples": [{"id": str(number), "text": "x" * 90} for number in range(3)]}
    size = len(embedded(part["examples"][0])) + 1
    samples = {"a": {"seed": 1, "cells": [], "languages": {"de": part, "en": part}}}
    found = within(samples, 3 * size)["a"]["languages"]
    # The first of both languages, then the second of the first.
    assert {code: [each["id"] for each in found[code]["examples"]] for code in found} == {"de": ["0", "1"], "en": ["0"]}
    assert within(samples, -1)["a"]["languages"]["de"] == {"total": 9, "examples": []}


def test_a_large_grid_stays_within_the_size_and_keeps_its_numbers(tmp_path: Path) -> None:
    grid, facts = write_large_grid(tmp_path)
    out = tmp_path / "index.html"
    write_page(grid.layout, grid.files, facts, out)
    assert out.stat().st_size <= MAX_BYTES
    data = data_of(out)
    assert (
        sum(
            len(scores)
            for row in data["scores"]["large"].values()
            for target in row.values()
            for scores in target.values()
        )
        == 10 * 10 * 50 * 3
    )
    kept = [len(part["examples"]) for sample in data["examples"].values() for part in sample["languages"].values()]
    assert len(kept) == 500 and min(kept) >= 1


def test_the_answer_of_a_selection_is_carried_where_there_is_one(grid: PageGrid, tmp_path: Path) -> None:
    write_page(grid.layout, grid.files, FACTS, tmp_path / "plain.html")
    assert data_of(tmp_path / "plain.html")["selection"] is None
    assert 'id="selection"' not in (tmp_path / "plain.html").read_text(encoding="utf-8")
    chosen = page_grid.with_selection(grid, tmp_path / "selection.tsv")
    write_page(chosen.layout, chosen.files, FACTS, tmp_path / "index.html")
    found = data_of(tmp_path / "index.html")["selection"]
    columns = {column["name"]: column for column in found["columns"]}
    assert found["rows"] == 5 and columns["probability"]["values"] == [0.875, 0.5, 0.8, 0.4, 0.6]
    assert [columns["chosen"]["words"][place] for place in columns["chosen"]["values"]] == [
        "mnli", "qqp", "none", "mnli", "qqp",
    ]  # fmt: skip
    assert columns["score"]["values"] == [60.25] * 4 + [None]
    assert all(column["about"] for column in columns.values()) and columns["regret"]["about"].endswith("Unit: points.")
    assert '<a href="#selection">Selection</a>' in (tmp_path / "index.html").read_text(encoding="utf-8")
