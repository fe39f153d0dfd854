"""Files that users have: CSV, TSV, CoNLL, JSON Lines and parquet, also as pandas, Excel and Windows write them."""

import csv
import gzip
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.data.sources.rowfiles import SUFFIXES, FileFormat, read_table
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import RowError, SourceError, StiltgridError

NLI = TaskCard(
    name="nli", family="sequence", about="", citation="", languages=("en",), metric="accuracy", max_length=64,
    fields={"text_a": "premise", "label": "label"}, labels=("entailment", "neutral", "contradiction"),
    label_values=(0, 1, 2), local={"folder": "nli", "splits": {"train": "train"}},
)  # fmt: skip
NER = replace(
    NLI, family="tagging", fields={"tokens": "tokens", "tags": "ner_tags"}, labels=("O", "B-PER", "I-PER"),
    label_values=(),
)  # fmt: skip


def local(**more: Any) -> dict[str, Any]:
    return {"folder": "nli", "splits": {"train": "train"}, **more}


def write(root: Path, name: str, content: str | bytes) -> Path:
    path = root / "nli" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(root: Path, card: TaskCard = NLI) -> list[RawRow]:
    return list(LocalSource(root).read(card, "train", "en"))


def test_csv_is_read_with_quotes_line_ends_in_cells_and_line_numbers(tmp_path: Path) -> None:
    write(tmp_path, "train.en.csv", 'premise,label\r\n"He said ""no"",\r\nthen left.",0\r\nRain.,1\r\n')
    first, second = read(tmp_path)
    assert first.values == {"premise": 'He said "no",\r\nthen left.', "label": "0"}
    assert (first.place, second.place) == ("nli/train.en.csv line 2", "nli/train.en.csv line 4")


def test_what_pandas_writes_is_read_back(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"premise": ['Tabs\tand "quotes"', "Line\nend", "plain"], "label": [0.0, 1.0, -1.0]})
    for ending, write_as in (("csv", {}), ("csv.gz", {}), ("tsv", {"sep": "\t"})):
        path = tmp_path / "nli" / f"train.en.{ending}"
        path.parent.mkdir(exist_ok=True)
        frame.to_csv(path, index=False, **write_as)
        rows = read(tmp_path, replace(NLI, local=local(quoting=True)))
        assert [row.values["premise"] for row in rows] == frame["premise"].tolist()
        assert [row.values["label"] for row in rows] == ["0.0", "1.0", "-1.0"]
        path.unlink()


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))] * 2), min_size=1
    )
)
def test_csv_gives_back_every_text(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(out.getvalue().encode())
    assert [tuple(row.values.values()) for row in read_table(path, "x.csv")] == rows


@settings(max_examples=300, derandomize=True, deadline=None)
@given(content=st.binary() | st.text('",;\t\n\r{}[]:ab0\\').map(str.encode), ending=st.sampled_from(SUFFIXES))
def test_no_content_of_a_file_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str
) -> None:
    path = tmp_path_factory.mktemp("any") / f"x{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    try:
        for row in read_table(path, path.name, FileFormat(conll={"tokens": 1, "tags": -1})):
            assert row.place.startswith(path.name)
    except StiltgridError as error:
        assert str(error).startswith(path.name)


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    for name, content in (
        ("train.en.jsonl", '{"premise": "a", "label": 0}\r\n'),
        ("train.en.csv", "premise,label\r\na,0\r\n"),
        ("train.en.tsv", "premise\tlabel\r\na\t0\r\n"),
    ):
        path = write(tmp_path, name, "\ufeff" + content)
        assert [{key: str(value) for key, value in row.values.items()} for row in read(tmp_path)] == [
            {"premise": "a", "label": "0"}
        ]
        path.unlink()


def test_utf16_as_windows_writes_it_is_named(tmp_path: Path) -> None:
    for name in ("train.en.jsonl", "train.en.csv"):
        path = write(tmp_path, name, "premise,label\na,0\n".encode("utf-16"))
        with pytest.raises(
            RowError, match=f"nli/{name} line 1: expected UTF-8 text, found UTF-16 .*save the file as UTF-8"
        ):
            read(tmp_path)
        path.unlink()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("premise,label\na,0,1\n", "line 2: expected 2 cells as in the header, found 3"),
        ('premise,label\n"a,0\nb,1\n', "line 2: expected cells with whole quotes, found: unexpected end of data"),
        ('premise,label\n"a"b,0\n', "line 2: expected cells with whole quotes"),
        ("label,label\na,0\n", "expected a header of different column names, found 'label' twice"),
        ("premise;label\na;0\n", "found the header 'premise;label'; if ';' separates them, set `delimiter: ';'`"),
        ("premise,label\n", "expected rows, found an empty file"),
    ],
)
def test_broken_csv_is_refused_with_its_line(tmp_path: Path, content: str, problem: str) -> None:
    write(tmp_path, "train.en.csv", content)
    with pytest.raises(StiltgridError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith("nli/train.en.csv") and problem in str(caught.value)


def test_excels_semicolons_are_read_where_the_card_says_so(tmp_path: Path) -> None:
    write(tmp_path, "train.en.csv", "premise;label\na,b;0\n")
    assert read(tmp_path, replace(NLI, local=local(delimiter=";")))[0].values == {"premise": "a,b", "label": "0"}


def test_quotation_marks_of_a_tsv_file_are_never_guessed(tmp_path: Path) -> None:
    write(tmp_path, "train.en.tsv", 'premise\tlabel\nplain\t0\n"quoted"\t1\n')
    with pytest.raises(
        RowError, match="nli/train.en.tsv line 3: a cell begins with a quotation mark.*`quoting: false`"
    ):
        read(tmp_path)
    assert read(tmp_path, replace(NLI, local=local(quoting=False)))[1].values["premise"] == '"quoted"'
    assert read(tmp_path, replace(NLI, local=local(quoting=True)))[1].values["premise"] == "quoted"


def test_conll_gives_a_row_a_sentence(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- -X- O\n\nClara NNP I-NP B-PER\nsleeps VBZ I-VP O\n\n\nRain NN I-NP O\n"
    write(tmp_path, "train.en.conll", content)
    first, second = read(tmp_path, replace(NER, local=local(conll={"tokens": 1, "ner_tags": -1})))
    assert first.values == {"tokens": ["Clara", "sleeps"], "ner_tags": ["B-PER", "O"]}
    assert (first.place, second.place) == ("nli/train.en.conll line 3", "nli/train.en.conll line 7")


def test_conllu_leaves_out_comments_ranges_and_empty_nodes(tmp_path: Path) -> None:
    lines = [
        "# text = del mar",
        "1-2\tdel\t_\t_",
        "1\tde\tde\tADP",
        "2\tel\tel\tDET",
        "2.1\t#\t_\t_",
        "3\tmar mar\tmar\tNOUN",
    ]
    write(tmp_path, "train.en.conllu", "\n".join(lines) + "\n")
    [row] = read(tmp_path, replace(NER, local=local(conll={"tokens": 2, "pos": 4})))
    assert row.values == {"tokens": ["de", "el", "mar mar"], "pos": ["ADP", "DET", "NOUN"]}


def test_xtremes_tag_files_without_a_header_are_conll(tmp_path: Path) -> None:
    write(tmp_path, "train.en.tsv", 'Clara\tB-PER\n"\tO\n\nRain\tO\n')
    rows = read(tmp_path, replace(NER, local=local(conll={"tokens": 1, "ner_tags": 2})))
    assert [row.values["tokens"] for row in rows] == [["Clara", '"'], ["Rain"]]


def test_conll_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train.en.conll", "Clara B-PER\nsleeps\n")
    with pytest.raises(
        SourceError, match="nli/train.en.conll: the card must say which columns.*`conll: {tokens: 1, tags"
    ):
        read(tmp_path, NER)
    card = replace(NER, local=local(conll={"tokens": 1, "ner_tags": -1}))
    with pytest.raises(RowError, match="nli/train.en.conll line 2: expected 2 columns as in the line before, found 1"):
        read(tmp_path, card)
    with pytest.raises(RowError, match="nli/train.en.conll line 1: expected column 4 .'ner_tags'., found 2 columns"):
        read(tmp_path, replace(NER, local=local(conll={"tokens": 1, "ner_tags": 4})))


@pytest.mark.parametrize("other", ["train.en.jsonl.gz", "train.en.parquet", "train.en.csv"])
def test_two_files_for_one_split_are_an_error_that_names_both(tmp_path: Path, other: str) -> None:
    write(tmp_path, "train.en.jsonl", '{"premise": "a", "label": 0}\n')
    write(tmp_path, other, b"")
    source = LocalSource(tmp_path)
    [problem] = source.missing(NLI, "train", "en")
    for name in ("nli/train.en.jsonl", f"nli/{other}"):
        assert name in problem
    with pytest.raises(SourceError, match=r"task 'nli': expected one file, found nli/train.en.* and nli/train.en"):
        read(tmp_path)


def test_two_files_of_raw_text_are_an_error_too(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "en.txt").write_text("One.\n")
    (tmp_path / "text" / "en.txt.gz").write_bytes(gzip.compress(b"Two.\n"))
    with pytest.raises(SourceError, match="raw text of 'en': expected one file, found text/en.txt.gz and text/en.txt"):
        list(LocalSource(tmp_path).text("en"))


def test_a_folder_without_readable_files_says_what_it_has_and_what_is_read(tmp_path: Path) -> None:
    write(tmp_path, "train.en.xlsx", b"PK")
    [problem] = LocalSource(tmp_path).missing(NLI, "train", "en")
    assert "it has train.en.xlsx" in problem and ".jsonl.gz" in problem and ".csv" in problem and ".conll" in problem


def test_what_stands_in_a_files_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nli" / "train.en.jsonl"
    for make, what in (
        (lambda: path.mkdir(parents=True), "a folder"),
        (lambda: os.mkfifo(path), "a named pipe"),
        (lambda: path.symlink_to("nowhere"), "a broken link"),
    ):
        make()
        [problem] = LocalSource(tmp_path).missing(NLI, "train", "en")
        assert problem.endswith(f"expected a file, found {what} 'train.en.jsonl'")
        path.rmdir() if path.is_dir() else path.unlink()


def features(**columns: Any) -> datasets.Features:
    return datasets.Features(columns)


def test_label_names_of_a_parquet_file_decide_not_its_numbers(tmp_path: Path) -> None:
    names = ["contradiction", "entailment", "neutral"]
    kind = features(premise=datasets.Value("string"), label=datasets.ClassLabel(names=names))
    path = write(tmp_path, "train.en.parquet", b"")
    datasets.Dataset.from_dict({"premise": ["a", "b", "c"], "label": [0, 1, -1]}, features=kind).to_parquet(path)
    rows = read(tmp_path, replace(NLI, drop_labels=(-1,)))
    assert [row.values["label"] for row in rows] == [2, 0, -1]


@pytest.mark.parametrize("kind", ["List", "Sequence", "old"])
def test_integer_tags_are_read_by_their_names(tmp_path: Path, kind: str) -> None:
    inner = {"names": ["B-PER", "O", "I-PER"], "_type": "ClassLabel"}
    feature: Any = [inner] if kind == "old" else {"feature": inner, "_type": kind}
    metadata = {b"huggingface": json.dumps({"info": {"features": {"ner_tags": feature}}}).encode()}
    table = pa.table({"tokens": [["Clara", "slept"]], "ner_tags": [[0, 1]]}).replace_schema_metadata(metadata)
    path = write(tmp_path, "train.en.parquet", b"")
    pq.write_table(table, path)
    assert read(tmp_path, NER)[0].values["ner_tags"] == ["B-PER", "O"]


def test_label_names_that_the_card_does_not_have_are_refused(tmp_path: Path) -> None:
    kind = features(premise=datasets.Value("string"), label=datasets.ClassLabel(names=["yes", "no", "maybe"]))
    path = write(tmp_path, "train.en.parquet", b"")
    datasets.Dataset.from_dict({"premise": ["a"], "label": [0]}, features=kind).to_parquet(path)
    with pytest.raises(
        SourceError, match="nli/train.en.parquet, column 'label': label names yes, no, maybe; card 'nli'"
    ):
        read(tmp_path)


def test_a_categorical_column_of_pandas_is_read_as_its_words(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"premise": ["a", "b"], "label": pandas.Categorical(["neutral", "entailment"])})
    path = write(tmp_path, "train.en.parquet", b"")
    frame.to_parquet(path)
    assert [row.values["label"] for row in read(tmp_path)] == ["neutral", "entailment"]


def test_flipped_bytes_in_a_parquet_file_are_found(tmp_path: Path) -> None:
    path = write(tmp_path, "train.en.parquet", b"")
    table = pa.table({"premise": [f"text {number}" for number in range(2000)], "label": [0] * 2000})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[5000:5064] = bytes(byte ^ 0xFF for byte in content[5000:5064])
    path.write_bytes(content)
    with pytest.raises(SourceError, match="nli/train.en.parquet: parquet file truncated or damaged"):
        read(tmp_path)
