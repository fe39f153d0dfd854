"""The tidy table and the transfer tables, against numbers worked out by hand."""

import csv
import json

import grids
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.tables import COLUMNS, collect_scores, read_transfer, write_transfer, write_tsv
from stiltgrid.grid.layout import layout_from_params
from stiltgrid.grid.params import as_params
from stiltgrid.utils.errors import SourceError


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.parquet"
    collect_scores(grids.write_metrics(tmp_path / "scores"), path, synthetic=False)
    return path


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def tables(scores, layout):
    transfer, languages = scores.parent / "transfer.tsv", scores.parent / "transfer_by_language.tsv"
    write_transfer(scores, layout, transfer, languages)
    return rows(transfer), rows(languages)


def test_the_tidy_table_has_every_number_once(scores):
    table = pq.read_table(scores)
    assert tuple(table.column_names) == COLUMNS
    # 3 intermediates x 2 seeds x (3 + 2 + 2) languages, each with the headline, a second metric, a second split
    assert table.num_rows == 3 * 2 * 7 * 3
    assert table.to_pylist()[0] == {
        "model": "tiny", "intermediate": "mnli", "target": "tatoeba", "language": "de", "split": "dev", "seed": 1,
        "metric": "accuracy", "value": 30.0, "n": 5, "synthetic": False,
    }  # fmt: skip


def test_the_tidy_table_has_the_same_types_whatever_it_holds(tmp_path):
    path = grids.write_metrics(tmp_path / "scores")[0]
    content = json.loads(path.read_text())
    for number, row in enumerate(content["scores"]):
        row["value"] = number  # whole numbers only
    path.write_text(json.dumps(content))
    collect_scores([path], tmp_path / "whole.parquet", synthetic=False)
    collect_scores([], tmp_path / "none.parquet", synthetic=False)
    for name, rows_there in (("whole", len(content["scores"])), ("none", 0)):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert table.num_rows == rows_there
        assert [str(kind) for kind in table.schema.types] == ["string"] * 5 + [
            "int64",
            "string",
            "double",
            "int64",
            "bool",
        ]


def test_the_tidy_table_does_not_depend_on_the_order_of_files(tmp_path):
    paths = grids.write_metrics(tmp_path / "scores")
    collect_scores(paths, tmp_path / "one.parquet", synthetic=False)
    collect_scores(reversed(paths), tmp_path / "two.parquet", synthetic=False)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_transfer_by_hand(scores):
    table, _ = tables(scores, grids.layout())
    assert [(row["target"], row["intermediate"]) for row in table[:4]] == [
        ("xnli", "none"), ("xnli", "mnli"), ("xnli", "squad_v1"), ("udpos", "none"),
    ]  # fmt: skip
    mnli = next(row for row in table if (row["target"], row["intermediate"]) == ("xnli", "mnli"))
    # Means over languages: none 60, 60; mnli 64, 64. English 76, 78. Others: (58 + 57) / 2.
    assert mnli == {
        "model": "tiny", "intermediate": "mnli", "target": "xnli", "split": "test", "metric": "accuracy",
        "seeds": "2", "languages": "3", "score": "64.0000", "gain": "4.0000", "sd": "0.0000", "gain_sd": "0.0000",
        "english": "77.0000", "zero_shot": "57.5000", "n": "15", "synthetic": "False",
    }  # fmt: skip
    udpos = next(row for row in table if (row["target"], row["intermediate"]) == ("udpos", "mnli"))
    # none 60, 64; mnli 54, 56: gains -6 and -8, deviation sqrt(2).
    assert (udpos["score"], udpos["gain"], udpos["gain_sd"]) == ("55.0000", "-7.0000", "1.4142")
    tatoeba = next(row for row in table if (row["target"], row["intermediate"]) == ("tatoeba", "squad_v1"))
    assert (tatoeba["english"], tatoeba["zero_shot"]) == ("", "14.0000")


def test_transfer_by_language_by_hand(scores):
    _, table = tables(scores, grids.layout())
    assert len(table) == 3 * (3 + 2 + 2)
    german = next(
        row for row in table if (row["intermediate"], row["target"], row["language"]) == ("mnli", "xnli", "de")
    )
    # none 50, 54; mnli 56, 63: gains 6 and 9.
    assert (german["score"], german["gain"], german["gain_sd"], german["n"]) == ("59.5000", "7.5000", "2.1213", "5")


def test_every_cell_and_language_of_the_grid_is_there(scores):
    table, languages = tables(scores, grids.layout())
    asked = {(row, column.target) for row in grids.SCORES for column in grids.layout().columns}
    assert {(row["intermediate"], row["target"]) for row in table} == asked
    assert {(row["target"], row["language"]) for row in languages} == {
        (column.target, language) for column in grids.layout().columns for language in column.languages
    }


def test_one_seed_leaves_spread_empty(tmp_path):
    collect_scores(grids.write_metrics(tmp_path / "scores", seeds=(1,)), tmp_path / "scores.parquet", synthetic=False)
    table, _ = tables(tmp_path / "scores.parquet", grids.layout(seeds=(1,)))
    assert {row["sd"] for row in table} == {row["gain_sd"] for row in table} == {""}
    assert {row["seeds"] for row in table} == {"1"}


def test_missing_cells_are_absent_and_counted(tmp_path):
    paths = grids.write_metrics(tmp_path / "scores")
    gone = [path for path in paths if "mnli/udpos" in path.as_posix()]
    collect_scores([path for path in paths if path not in gone], tmp_path / "scores.parquet", synthetic=False)
    table, languages = tables(tmp_path / "scores.parquet", grids.layout())
    assert not [row for row in table + languages if (row["intermediate"], row["target"]) == ("mnli", "udpos")]
    assert len(table) == 8
    transfer = read_transfer(tmp_path / "scores.parquet", grids.layout())
    assert transfer.missing == (
        "tiny / mnli / udpos / seed 1 has no f1 on dev",
        "tiny / mnli / udpos / seed 2 has no f1 on dev",
    )
    assert transfer.expected == 18


def test_a_seed_without_one_language_is_left_out_of_the_mean(tmp_path):
    paths = grids.write_metrics(tmp_path / "scores")
    path = next(path for path in paths if "mnli/xnli/seed2" in path.as_posix())
    content = json.loads(path.read_text())
    content["scores"] = [row for row in content["scores"] if row["language"] != "zh"]
    path.write_text(json.dumps(content))
    collect_scores(paths, tmp_path / "scores.parquet", synthetic=False)
    transfer = read_transfer(tmp_path / "scores.parquet", grids.layout())
    assert transfer.missing == ("tiny / mnli / xnli / seed 2 lacks zh",)
    cell = transfer.cell("tiny", "mnli", "xnli")
    assert cell.score.value == 64.0  # seed 1 alone, not a mean with (63 + 78) / 2
    assert transfer.gain(cell).n == 1  # and compared with seed 1 of `none` only


def test_no_gain_without_a_none_row(tmp_path):
    scores = {name: cells for name, cells in grids.SCORES.items() if name != "none"}
    collect_scores(grids.write_metrics(tmp_path / "scores", scores), tmp_path / "scores.parquet", synthetic=False)
    table, _ = tables(tmp_path / "scores.parquet", grids.layout())
    assert {row["gain"] for row in table} == {""}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("cell"), ["expected `cell`", "KeyError"]),
        (lambda content: content["scores"][0].update(value=float("nan")), ["finite", "de test accuracy", "nan"]),
        (lambda content: content["scores"].append(content["scores"][0]), ["expected one score", "several"]),
    ],
)
def test_broken_metrics_name_the_file(tmp_path, change, words):
    path = grids.write_metrics(tmp_path / "scores")[0]
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(SourceError) as error:
        collect_scores([path], tmp_path / "scores.parquet", synthetic=False)
    assert all(word in str(error.value) for word in [str(path), *words])
    assert not (tmp_path / "scores.parquet").exists()


def test_a_cell_given_twice_is_refused(tmp_path):
    path = grids.write_metrics(tmp_path / "scores")[0]
    copy = path.with_name("copy.json")
    copy.write_bytes(path.read_bytes())
    with pytest.raises(SourceError, match="expected every cell once"):
        collect_scores([path, copy], tmp_path / "scores.parquet", synthetic=False)


def test_a_layout_survives_params():
    assert layout_from_params(json.loads(json.dumps(as_params(grids.layout())))) == grids.layout()


def test_tsv_fields_look_as_their_own_values_say(tmp_path):
    found = [
        {"row": "mnli", "n": 3, "gain": -0.00001, "p": "1e-05", "ignored": 1},
        {"row": "a\tb", "n": None, "gain": 64.0, "p": None},
        {"row": 'q"', "gain": 2 / 3},
    ]
    write_tsv(("row", "n", "p", "gain"), iter(found), tmp_path / "some.tsv", synthetic=False)
    # A whole number beside an empty field stays whole, no -0.0000, quotes only where a field needs them.
    assert (tmp_path / "some.tsv").read_bytes() == (
        b'row\tn\tp\tgain\tsynthetic\nmnli\t3\t1e-05\t0.0000\tFalse\n"a\tb"\t\t\t64.0000\tFalse\n"q"""\t\t\t0.6667\tFalse\n'
    )
    write_tsv(("row", "n"), (), tmp_path / "head.tsv", synthetic=False)
    assert (tmp_path / "head.tsv").read_bytes() == b"row\tn\tsynthetic\n"


def test_tables_of_synthetic_data_say_so_in_every_row(tmp_path):
    collect_scores(grids.write_metrics(tmp_path / "scores"), tmp_path / "scores.parquet", synthetic=True)
    assert set(pq.read_table(tmp_path / "scores.parquet").column("synthetic").to_pylist()) == {True}
    for table in tables(tmp_path / "scores.parquet", grids.layout(synthetic=True)):
        assert {row["synthetic"] for row in table} == {"True"}
