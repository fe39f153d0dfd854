"""The local mirror: file kinds, names, slices, places, and what is said when something is not there."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.data.sources import open_source
from stiltgrid.data.sources.local import LocalSource, parse_name, split_names
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import ConfigError, RowError, SourceError

CARD = TaskCard(
    name="xnli",
    family="sequence",
    about="",
    citation="",
    languages=("de", "en"),
    metric="accuracy",
    max_length=128,
    local={"folder": "xnli", "splits": {"train": "train", "test": "test"}},
)


def lines(count: int, word: str = "row") -> str:
    return "".join(json.dumps({"text": f"{word} {number}"}, ensure_ascii=False) + "\n" for number in range(count))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """xnli/train.en as plain text, test.de as gzip, test.en as parquet, and raw text."""
    (tmp_path / "xnli").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "xnli" / "train.en.jsonl").write_text(lines(5))
    with gzip.open(tmp_path / "xnli" / "test.de.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(lines(3, "größer"))
    pq.write_table(pa.table({"text": ["row 0", "row 1"]}), tmp_path / "xnli" / "test.en.parquet")
    with gzip.open(tmp_path / "text" / "de.txt.gz", "wt", encoding="utf-8") as file:
        file.write("Erster Satz.\n\nZweiter Satz.\n")
    return tmp_path


def at(card: TaskCard, **splits: object) -> TaskCard:
    return replace(card, local={"folder": "xnli", "splits": splits})


def texts(folder: Path, card: TaskCard, split: str = "train", language: str = "en") -> list[str]:
    return [row.values["text"] for row in LocalSource(folder).read(card, split, language)]


def test_three_kinds_of_file_and_the_places_of_their_rows(folder: Path) -> None:
    source = LocalSource(folder)
    plain, zipped, table = (list(source.read(CARD, *key)) for key in (("train", "en"), ("test", "de"), ("test", "en")))
    assert plain[4].place == "xnli/train.en.jsonl line 5"
    assert (zipped[2].place, zipped[2].values) == ("xnli/test.de.jsonl.gz line 3", {"text": "größer 2"})
    assert (table[1].place, table[1].values) == ("xnli/test.en.parquet row 2", {"text": "row 1"})


def test_slices_split_one_file_in_two_without_overlap(folder: Path) -> None:
    head, tail = texts(folder, at(CARD, train="train[:3]")), texts(folder, at(CARD, train="train[3:]"))
    assert head + tail == texts(folder, CARD)
    assert head == ["row 0", "row 1", "row 2"]
    assert texts(folder, at(CARD, train="train[1:3]")) == ["row 1", "row 2"]


def test_lists_are_concatenated_and_names_with_a_slash_are_relative_to_the_folder(folder: Path) -> None:
    (folder / "paws").mkdir()
    (folder / "paws" / "train.en.jsonl").write_text(lines(1, "paws"))
    assert texts(folder, at(CARD, train=["train[:1]", "paws/train"])) == ["row 0", "paws 0"]


def test_a_name_with_an_ending_is_a_whole_file_name(folder: Path) -> None:
    assert texts(folder, at(CARD, train="train.en.jsonl"), language="de")[0] == "row 0"


def test_parts_are_read_one_by_one_or_all_together(folder: Path) -> None:
    card = at(CARD, test={"pool": "test", "gold": ["train.en.jsonl[:1]"]})
    source = LocalSource(folder)
    assert source.parts(card, "test") == ("pool", "gold")
    assert len(list(source.read(card, "test", "de", part="pool"))) == 3
    assert len(list(source.read(card, "test", "de", part="gold"))) == 1
    assert split_names(card.local, "test") == ["test", "train.en.jsonl[:1]"]
    with pytest.raises(SourceError, match="names no file for part 'queries' of split 'test'"):
        list(source.read(card, "test", "de", part="queries"))


def test_columns_are_renamed(folder: Path) -> None:
    card = replace(CARD, local={**(CARD.local or {}), "columns": {"text": "premise"}})
    assert next(LocalSource(folder).read(card, "train", "en")).values == {"premise": "row 0"}


def test_what_is_there_and_what_is_missing_with_the_nearest_name(folder: Path) -> None:
    source = LocalSource(folder)
    assert source.has(CARD, "test", "de")
    assert not source.has(CARD, "train", "de")
    assert not source.has(CARD, "dev", "en")
    assert source.files(CARD, "test", "de") == [str(folder / "xnli" / "test.de.jsonl.gz")]
    card = at(CARD, train=["train", "trains", "other/train"])
    problems = source.missing(card, "train", "en")
    assert problems[0].startswith("xnli/trains.en.jsonl.gz is missing in ")
    assert problems[0].endswith("did you mean 'train.en.jsonl'?")
    assert "there is no folder 'other'; valid: text, xnli" in problems[1]
    assert len(problems) == 2
    with pytest.raises(SourceError, match="task 'xnli': xnli/trains.en.jsonl.gz is missing"):
        list(source.read(card, "train", "en"))


def test_a_language_that_a_card_lists_as_missing_is_no_fault(folder: Path) -> None:
    card = replace(CARD, local={**(CARD.local or {}), "missing": {"test": ["de", "fr"]}})
    source = LocalSource(folder)
    assert not source.has(card, "test", "de")
    assert source.missing(card, "test", "fr") == []


def test_broken_json_names_file_and_line(folder: Path) -> None:
    (folder / "xnli" / "train.en.jsonl").write_text(lines(2) + '{"text": "cut off\n' + lines(1))
    with pytest.raises(RowError, match="^xnli/train.en.jsonl line 3: expected a JSON object, found broken JSON"):
        texts(folder, CARD)


def test_a_line_that_is_not_an_object_is_refused(folder: Path) -> None:
    (folder / "xnli" / "train.en.jsonl").write_text('{"text": "a"}\n["text"]\n')
    with pytest.raises(RowError, match="line 2: expected a JSON object, found a list; write one object a line"):
        texts(folder, CARD)


def test_other_bytes_than_utf8_name_the_line(folder: Path) -> None:
    (folder / "xnli" / "train.en.jsonl").write_bytes(b'{"text": "a"}\n{"text": "gr\xf6\xdfer"}\n')
    with pytest.raises(RowError, match="line 2: expected UTF-8"):
        texts(folder, CARD)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(folder: Path, content: str) -> None:
    (folder / "xnli" / "train.en.jsonl").write_text(content)
    with pytest.raises(SourceError, match="xnli/train.en.jsonl: expected rows, found an empty file"):
        texts(folder, CARD)


def test_an_empty_parquet_file_is_refused(folder: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), folder / "xnli" / "test.en.parquet")
    with pytest.raises(SourceError, match="xnli/test.en.parquet: expected rows, found an empty file"):
        texts(folder, CARD, "test")


def test_a_slice_beyond_the_file_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match="xnli/train.en.jsonl: expected rows from position 9 on, found fewer"):
        texts(folder, at(CARD, train="train[9:]"))


@pytest.mark.parametrize("name", ["train[", "train[:]x", "train[-3:]", "train[a:b]", "train[3:3]", "train[5:2]"])
def test_slices_of_another_form_are_refused(name: str) -> None:
    with pytest.raises(SourceError, match="slice|expected a name"):
        parse_name(name, "xnli")


def test_files_that_were_cut_off_are_refused(folder: Path) -> None:
    zipped = folder / "xnli" / "test.de.jsonl.gz"
    zipped.write_bytes(zipped.read_bytes()[:-12])
    with pytest.raises(SourceError, match="xnli/test.de.jsonl.gz: gzip file truncated"):
        texts(folder, CARD, "test", "de")
    table = folder / "xnli" / "test.en.parquet"
    table.write_bytes(table.read_bytes()[:-12])
    with pytest.raises(SourceError, match="xnli/test.en.parquet: parquet file truncated"):
        texts(folder, CARD, "test", "en")


def test_raw_text_is_one_document_a_line(folder: Path) -> None:
    source = LocalSource(folder)
    assert list(source.text("de")) == ["Erster Satz.", "Zweiter Satz."]
    with pytest.raises(SourceError, match=r"raw text of 'dee': expected text/dee.txt.gz .*did you mean 'de'\?"):
        list(source.text("dee"))


def test_provenance_has_the_digest_of_what_was_read(folder: Path) -> None:
    import hashlib

    source = LocalSource(folder)
    list(source.read(CARD, "train", "en"))
    content = (folder / "xnli" / "train.en.jsonl").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert source.provenance() == {
        "source": "local",
        "files": {"xnli/train.en.jsonl": {"bytes": len(content), "sha256": digest}},
    }


def test_sources_open_by_name(folder: Path) -> None:
    assert isinstance(open_source("local", str(folder)), LocalSource)
    with pytest.raises(ConfigError, match=r"source: 'locale' is unknown; did you mean 'local'\?"):
        open_source("locale", str(folder))
    with pytest.raises(ConfigError, match="data_dir: `source: local` needs the folder"):
        open_source("local")


def test_opening_a_source_imports_nothing_heavy() -> None:
    """The workflow's parse opens the source: it must not pay for torch, datasets or pyarrow."""
    import subprocess
    import sys

    heavy = "('torch', 'transformers', 'datasets', 'huggingface_hub', 'pandas', 'pyarrow')"
    code = (
        "import sys; from stiltgrid.data import adapters; from stiltgrid.data.sources import open_source\n"
        "open_source('local', '.'); open_source('hub', '.')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    scripts = Path(__file__).parents[3] / "workflow_scripts"
    done = subprocess.run([sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
