"""The hub source, through the real client libraries, against a small hub on loopback."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stand_in_hub import StandInHub
from stiltgrid.data.sources import client
from stiltgrid.data.sources.client import HubClient
from stiltgrid.data.sources.hub import CONVERTED, HubSource
from stiltgrid.grid.cards import TaskCard, card_from_view, card_view
from stiltgrid.utils.errors import SourceError

NLI = TaskCard(
    name="xnli",
    family="sequence",
    about="",
    citation="",
    languages=("de", "en"),
    metric="accuracy",
    max_length=128,
    fields={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"),
    label_values=(0, 1, 2),
    drop_labels=(-1,),
    hub={
        "path": "made/xnli",
        "revision": "main",
        "config": "{language}",
        "splits": {"dev": "validation", "test": "test"},
        "verified": True,
    },
)
NAMES = ["entailment", "neutral", "contradiction"]


def parquet(rows: list[dict], **classes: list[str]) -> bytes:
    """Parquet as `datasets` writes it: features in the metadata, `classes` columns with label names."""
    import datasets

    table = datasets.Dataset.from_list(rows)
    for column, names in classes.items():
        label = datasets.ClassLabel(names=names)
        listed = isinstance(rows[0][column], list)
        table = table.cast_column(column, datasets.List(label) if listed else label)
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


def nli_rows(word: str, labels: tuple[int, ...] = (0, 2)) -> list[dict]:
    return [{"premise": f"{word} {n}", "hypothesis": "so", "label": label} for n, label in enumerate(labels)]


def readme(*configs: str) -> str:
    lines = ["---", "configs:"]
    for config in configs:
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in ("validation", "test"):
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*.parquet"]
    return "\n".join([*lines, "---", "", "# Made for the tests"])


def nli_files(word: str, names: list[str] = NAMES, labels: tuple[int, ...] = (0, 2)) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {"README.md": readme("de", "en")}
    for language in ("de", "en"):
        for split in ("validation", "test"):
            content = parquet(nli_rows(f"{word} {language} {split}", labels), label=names)
            files[f"{language}/{split}-00000-of-00001.parquet"] = content
    return files


@pytest.fixture
def source() -> HubSource:
    return HubSource(client=HubClient(pause=0.01))


def values(source: HubSource, card: TaskCard, split: str = "test", language: str = "de", **more: str) -> list[dict]:
    return [dict(row.values) for row in source.read(card, split, language, **more)]


def at(card: TaskCard, **changes: object) -> TaskCard:
    return replace(card, hub={**(card.hub or {}), **changes})


def test_rows_of_a_configuration_with_their_place(hub: StandInHub, source: HubSource) -> None:
    commit = hub.repository("made/xnli").commit(nli_files("first"))
    rows = list(source.read(NLI, "test", "de"))
    assert [row.values["premise"] for row in rows] == ["first de test 0", "first de test 1"]
    assert rows[1].place == f"made/xnli@{commit[:8]} de/test-00000-of-00001.parquet row 2"
    assert source.provenance()["commits"] == {"made/xnli@main": commit}


def test_only_the_split_that_is_read_is_fetched(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    values(source, NLI)
    fetched = {path for verb, path in hub.requests if verb == "GET" and path.endswith(".parquet")}
    assert [path.rpartition("/resolve/")[2].partition("/")[2] for path in fetched] == ["de/test-00000-of-00001.parquet"]


def test_a_pinned_revision_stays_when_its_branch_moves(hub: StandInHub) -> None:
    repository = hub.repository("made/xnli")
    first = repository.commit(nli_files("first"))
    second = repository.commit(nli_files("second"))
    pinned, moving = HubSource(client=HubClient(0.01)), HubSource(client=HubClient(0.01))
    assert values(pinned, at(NLI, revision=first))[0]["premise"] == "first de test 0"
    assert values(moving, NLI)[0]["premise"] == "second de test 0"
    assert pinned.provenance()["commits"] == {f"made/xnli@{first}": first}
    assert moving.provenance()["commits"] == {"made/xnli@main": second}


def test_a_branch_that_moves_during_a_run_is_read_at_one_commit(hub: StandInHub, source: HubSource) -> None:
    repository = hub.repository("made/xnli")
    repository.commit(nli_files("first"))
    values(source, NLI, language="de")
    repository.commit(nli_files("second"))
    assert values(source, NLI, language="en")[0]["premise"] == "first en test 0"


def test_missing_configuration_split_and_revision_name_what_is_near(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    with pytest.raises(SourceError, match=r"no configuration 'dee'; did you mean 'de'\?"):
        values(source, at(NLI, config="dee"))
    with pytest.raises(SourceError, match=r"no split 'tests'; did you mean 'test'\?"):
        values(source, at(NLI, splits={"test": "tests"}))
    with pytest.raises(SourceError, match="'nowhere'.*no such revision"):
        values(source, at(NLI, revision="nowhere"))
    with pytest.raises(SourceError, match="knows no dataset 'made/xnlu'"):
        values(source, at(NLI, path="made/xnlu"))


def test_the_converted_branch_has_a_folder_a_configuration(hub: StandInHub, source: HubSource) -> None:
    card = at(NLI, revision="refs/convert/parquet", config="XNLI.{code}", codes={"de": "German"})
    repository = hub.repository("made/xnli")
    repository.commit({"xnli.py": "raise SystemExit"})
    files = {f"XNLI.German/test/{n:04d}.parquet": parquet(nli_rows(f"part {n}"), label=NAMES) for n in (0, 1)}
    files["XNLI.German/partial-validation/0000.parquet"] = files["XNLI.German/test/0000.parquet"]
    repository.commit(files, ref="refs/convert/parquet")
    assert [row["premise"] for row in values(source, card)] == ["part 0 0", "part 0 1", "part 1 0", "part 1 1"]
    with pytest.raises(SourceError, match="only part of 'validation' was converted"):
        values(source, card, "dev")
    with pytest.raises(SourceError, match=r"no configuration 'XNLI.Germin'; did you mean 'XNLI.German'\?"):
        values(source, at(card, config="XNLI.Germin"))


def test_a_commit_of_the_converted_branch_is_known_by_its_folders(hub: StandInHub, source: HubSource) -> None:
    files = {f"{code}/test/0000.parquet": parquet(nli_rows(code), label=NAMES) for code in ("de", "en")}
    commit = hub.repository("made/xnli").commit(files, ref="refs/convert/parquet")
    assert [row["premise"] for row in values(source, at(NLI, revision=commit))] == ["de 0", "de 1"]


def test_only_parquet_files_of_the_converted_branch_are_rows(hub: StandInHub, source: HubSource) -> None:
    card = at(NLI, revision="refs/convert/parquet")
    content = parquet(nli_rows("real"), label=NAMES)
    files: dict[str, bytes | str] = {"de/test/0000.parquet": content, "de/test/index.duckdb": b"no table"}
    hub.repository("made/xnli").commit({**files, "de/test/0000.parquet.lock": b"", "old/notes.txt": "x"}, CONVERTED)
    assert [row["premise"] for row in values(source, card)] == ["real 0", "real 1"]
    with pytest.raises(SourceError, match=r"no configuration 'old'; valid: de"):
        values(source, at(card, config="old"))


def test_the_default_configuration_of_a_converted_commit_resolves(hub: StandInHub, source: HubSource) -> None:
    """As cosmos_qa's: a commit of the converted branch, without a README, whose configuration is called `default`."""
    files = {
        f"default/{split}/0000.parquet": parquet(nli_rows(split), label=NAMES) for split in ("train", "validation")
    }
    commit = hub.repository("made/xnli").commit(files, CONVERTED)
    card = at(NLI, revision=commit, config="default", splits={"train": "train", "dev": "validation"})
    assert [row["premise"] for row in values(source, card, "train")] == ["train 0", "train 1"]
    assert [row["premise"] for row in values(source, card, "dev")] == ["validation 0", "validation 1"]


def test_a_split_may_read_configurations_of_its_own(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    card = at(NLI, config={"dev": "{language}", "test": ["de", "en"]})
    assert [row["premise"] for row in values(source, card, "dev", "en")] == [f"first en validation {n}" for n in (0, 1)]
    assert len(values(source, card, "test", "en")) == 4


@pytest.mark.parametrize("name", ["sentence_{}", "{}"])
def test_a_table_with_a_column_a_language_gives_the_language_that_is_read(
    hub: StandInHub, source: HubSource, name: str
) -> None:
    """As FLORES: the language's column and the English one under our names, the other languages' left out."""
    codes = ("deu_Latn", "eng_Latn", "zho_Hans")
    rows = [{"id": number, **{name.format(code): f"{code} {number}" for code in codes}} for number in range(2)]
    hub.repository("made/flores").commit({"data/devtest-00000-of-00001.parquet": parquet(rows)})
    columns = {"sentence_{code}": "source", "{code}": "source", "sentence_eng_Latn": "target", "eng_Latn": "target"}
    card = replace(
        NLI, fields={"source": "source", "target": "target"}, labels=(), label_values=(),
        hub={"path": "made/flores", "revision": "main", "codes": {"de": "deu_Latn", "zh": "zho_Hans"},
             "columns": columns, "splits": {"test": "devtest"}, "verified": True},
    )  # fmt: skip
    assert values(source, card, language="de") == [
        {"source": f"deu_Latn {number}", "target": f"eng_Latn {number}"} for number in range(2)
    ]
    with pytest.raises(SourceError, match=r"reads column 'source' \(field 'source'\), the table has"):
        values(source, replace(card, hub={**(card.hub or {}), "codes": {"de": "deu_Grek"}}))


def test_files_by_language_code(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/sib").commit(
        {"data/deu_Latn/dev.tsv": 'index_id\tcategory\ttext\n7\ttravel\t"Ein ""Zug""."\n'}
    )
    files = {"validation": "data/{code}/dev.tsv"}
    card = at(NLI, path="made/sib", codes={"de": "deu_Latn"}, data_files=files, quoting=True)
    assert values(source, card, "dev") == [{"index_id": "7", "category": "travel", "text": 'Ein "Zug".'}]


def test_tags_that_the_card_relabels_are_known_to_the_hub(hub: StandInHub, source: HubSource) -> None:
    """A data set with more tags than the card's: their names are let through, for `relabel` to read."""
    names = ["B-DATE", "O", "B-LOC"]
    card = replace(
        NLI, family="tagging", fields={"tokens": "tokens", "tags": "ner_tags"}, labels=("O", "B-LOC"), label_values=(),
        drop_labels=(), relabel={"B-DATE": "O"},
    )  # fmt: skip
    content = parquet([{"tokens": ["1962", "Lima"], "ner_tags": [0, 2]}], ner_tags=names)
    files = {f"de/{split}/0000.parquet": content for split in ("test", "validation")}
    hub.repository("made/xnli").commit(files, CONVERTED)
    card = at(card, revision=CONVERTED)
    assert values(source, card) == [{"tokens": ["1962", "Lima"], "ner_tags": ["B-DATE", "B-LOC"]}]
    with pytest.raises(SourceError, match="'B-DATE'"):
        values(source, replace(card, relabel={}))


def test_a_section_that_was_not_verified_is_said_once(
    hub: StandInHub, source: HubSource, caplog: pytest.LogCaptureFixture
) -> None:
    commit = hub.repository("made/other").commit(nli_files("other"))
    hub.repository("made/xnli").commit(nli_files("first"))
    override = {
        "languages": ["en"], "path": "made/other", "revision": commit, "verified": False, "note": "Columns are a guess."
    }  # fmt: skip
    card = at(NLI, overrides=[override])
    values(source, card, "test", "de")
    assert not [record for record in caplog.records if "verified" in record.message]
    for split in ("dev", "test", "test"):
        values(source, card, split, "en")
    said = [record.getMessage() for record in caplog.records if "verified" in record.getMessage()]
    assert said == ["task 'xnli': what its card says of made/other was not verified: Columns are a guess."]


def test_a_gated_repository_says_how_to_get_in(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli", gated=True).commit(nli_files("first"))
    with pytest.raises(SourceError) as caught:
        values(source, NLI)
    message = str(caught.value)
    assert "'made/xnli' is gated" in message
    assert "https://huggingface.co/datasets/made/xnli" in message
    assert "HF_TOKEN" in message


def test_a_repository_with_a_loading_script_names_the_way_round(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit({**nli_files("first"), "xnli.py": "raise SystemExit"})
    with pytest.raises(SourceError, match="refs/convert/parquet"):
        values(source, NLI)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("where", ["/api/datasets/made/xnli", "/README.md", "/tree/", "de/test-00000-of-00001.parquet"])
def test_a_busy_hub_is_asked_again(
    hub: StandInHub, source: HubSource, monkeypatch: pytest.MonkeyPatch, status: int, where: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # huggingface_hub waits a second of its own
    hub.repository("made/xnli").commit(nli_files("first"))
    hub.plan(where, times=2, status=status)
    assert len(values(source, NLI)) == 2
    assert all(fault.times == 0 for fault in hub.faults)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7), ({"RateLimit": '"api";r=0;t=55'}, 56), ({}, 1), ({"Retry-After": "9999"}, 300)],
)
def test_the_hub_is_given_the_time_it_asks_for(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], seconds: float
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    commit = hub.repository("made/xnli").commit(nli_files("first"))
    hub.plan("/api/datasets/made/xnli", times=1, status=429, headers=headers)
    assert HubClient().repository("made/xnli", "main").commit == commit
    assert waits == [seconds]


def test_a_hub_that_stays_busy_is_given_up_with_a_sentence(
    hub: StandInHub, source: HubSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ATTEMPTS", 2)
    hub.repository("made/xnli").commit(nli_files("first"))
    hub.plan("/api/datasets/made/xnli", times=100, status=503)
    with pytest.raises(SourceError, match="the hub answered 503, 2 times; try again later, or use `source: local`"):
        values(source, NLI)


def test_a_broken_connection_is_resumed(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    hub.plan("de/test-00000-of-00001.parquet", times=1, method="GET", cut_after=100)
    assert len(values(source, NLI)) == 2


def test_a_download_cut_short_is_detected(hub: StandInHub, source: HubSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ATTEMPTS", 2)
    hub.repository("made/xnli").commit(nli_files("first"))
    hub.plan("de/test-00000-of-00001.parquet", times=100, method="GET", shorten_by=50)
    with pytest.raises(SourceError, match="test-00000-of-00001.parquet: the download was cut short 2 times"):
        values(source, NLI)


def test_a_download_cut_short_once_is_fetched_again(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    hub.plan("de/test-00000-of-00001.parquet", times=1, method="GET", shorten_by=50)
    assert len(values(source, NLI)) == 2


def test_labels_are_mapped_by_name_not_by_number(hub: StandInHub, source: HubSource) -> None:
    other_order = ["contradiction", "entailment", "neutral"]
    hub.repository("made/xnli").commit(nli_files("first", other_order, labels=(0, 1, 2, -1)))
    assert [row["label"] for row in values(source, NLI)] == [2, 0, 1, -1]


def test_label_names_that_are_not_the_cards_are_refused(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first", ["entailment", "neutral", "contradicts"]))
    with pytest.raises(SourceError) as caught:
        values(source, NLI)
    message = str(caught.value)
    assert "column 'label': label names entailment, neutral, contradicts" in message
    assert "card 'xnli' has entailment, neutral, contradiction" in message
    assert "did you mean 'contradiction'?" in message


def test_label_names_may_be_the_raw_values(hub: StandInHub, source: HubSource) -> None:
    card = replace(NLI, labels=("different", "paraphrase"), label_values=(0, 1))
    hub.repository("made/xnli").commit(nli_files("first", ["0", "1"], labels=(1, 0)))
    assert [row["label"] for row in values(source, card)] == [1, 0]


def test_tags_are_mapped_by_name_and_dropped_ones_keep_theirs(hub: StandInHub, source: HubSource) -> None:
    card = replace(
        at(NLI, columns={"upos": "pos_tags"}),
        family="tagging",
        fields={"tokens": "tokens", "tags": "pos_tags"},
        labels=("NOUN", "VERB"),
        label_values=(),
        drop_labels=("_",),
    )
    files = nli_files("first")
    rows = [{"tokens": ["a", "b", "c"], "upos": [2, 0, 1]}]
    files["de/test-00000-of-00001.parquet"] = parquet(rows, upos=["VERB", "_", "NOUN"])
    hub.repository("made/xnli").commit(files)
    assert values(source, card)[0]["pos_tags"] == ["NOUN", "VERB", "_"]


def test_columns_that_the_card_reads_must_be_there(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    card = replace(NLI, fields={"text_a": "{premises} and {hypothesis}", "label": "label"})
    with pytest.raises(SourceError) as caught:
        values(source, card)
    message = str(caught.value)
    assert "card 'xnli' reads column 'premises' (field 'text_a')" in message
    assert "the table has premise, hypothesis, label; did you mean 'premise'?" in message


def test_several_configurations_lists_of_splits_and_slices(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    both = at(NLI, config=["de", "en"], splits={"test": ["test[1:]", "validation[:1]"]})
    assert [row["premise"] for row in values(source, both)] == [
        "first de test 1",
        "first en test 1",
        "first de validation 0",
        "first en validation 0",
    ]


def test_a_language_may_come_from_another_repository(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/xnli").commit(nli_files("first"))
    commit = hub.repository("made/other").commit(nli_files("other"))
    override = {"languages": ["en"], "path": "made/other", "revision": commit}
    card = at(NLI, overrides=[override])
    assert values(source, card, language="en")[0]["premise"] == "other en test 0"
    assert values(source, card, language="de")[0]["premise"] == "first de test 0"


def test_one_language_of_a_mixed_table(hub: StandInHub, source: HubSource) -> None:
    rows = [
        {"id": f"{name}-{n}", "question": "q"} for n, name in enumerate(["english", "englishes", "german", "english"])
    ]
    hub.repository("made/mixed").commit({"secondary/test/0000.parquet": parquet(rows)}, ref="refs/convert/parquet")
    card = at(
        replace(NLI, fields={"id": "id"}, labels=()),
        path="made/mixed",
        revision="refs/convert/parquet",
        config="secondary",
        prefix={"column": "id", "values": {"en": "english"}},
    )
    assert [row["id"] for row in values(source, card, language="en")] == ["english-0", "english-3"]
    assert not source.has(card, "test", "de")


def archive(members: dict[str, str], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            file.addfile(info, io.BytesIO(text.encode()))
        if link is not None:
            info = tarfile.TarInfo("rows.jsonl")
            info.type, info.linkname = tarfile.SYMTYPE, link
            file.addfile(info)
    return buffer.getvalue()


ARCHIVED = replace(
    NLI,
    adapter="mewslix",
    hub={
        "path": "made/mewsli",
        "revision": "main",
        "data_files": {"pairs": "pairs/train.jsonl.tar.gz", "mentions": "mentions/{language}/dev.jsonl"},
        "splits": {"train": {"pairs": "pairs"}, "dev": {"pairs": "pairs", "mentions": "mentions"}},
        "verified": True,
    },
)


def test_files_by_name_plain_and_in_an_archive(hub: StandInHub, source: HubSource) -> None:
    lines = "".join(json.dumps({"number": number}) + "\n" for number in range(3))
    commit = hub.repository("made/mewsli").commit(
        {"pairs/train.jsonl.tar.gz": archive({"train.jsonl": lines}), "mentions/de/dev.jsonl": lines}
    )
    rows = list(source.read(ARCHIVED, "train", "en", part="pairs"))
    assert [row.values["number"] for row in rows] == [0, 1, 2]
    assert rows[2].place == f"made/mewsli@{commit[:8]} pairs/train.jsonl.tar.gz train.jsonl line 3"
    assert len(values(source, ARCHIVED, "dev", "de", part="mentions")) == 3
    assert source.parts(ARCHIVED, "dev") == ("pairs", "mentions")
    with pytest.raises(SourceError, match=r"no file 'mentions/dd/dev.jsonl'; did you mean 'mentions/de/dev.jsonl'\?"):
        values(source, ARCHIVED, "dev", "dd", part="mentions")


@pytest.mark.parametrize("name", ["../train.jsonl", "/etc/train.jsonl", "a/../../train.jsonl", "C:\\train.jsonl"])
def test_archive_members_that_climb_out_are_refused(hub: StandInHub, source: HubSource, name: str) -> None:
    hub.repository("made/mewsli").commit({"pairs/train.jsonl.tar.gz": archive({name: '{"number": 1}\n'})})
    with pytest.raises(SourceError, match="outside the archive's folder"):
        values(source, ARCHIVED, "train", "en", part="pairs")


def test_archive_links_are_refused(hub: StandInHub, source: HubSource) -> None:
    hub.repository("made/mewsli").commit({"pairs/train.jsonl.tar.gz": archive({}, link="/etc/passwd")})
    with pytest.raises(SourceError, match="'rows.jsonl' is a link or a device"):
        values(source, ARCHIVED, "train", "en", part="pairs")


def test_what_exists_is_told_without_the_network(hub: StandInHub, source: HubSource) -> None:
    card = at(NLI, missing={"dev": ["de"]})
    assert source.has(card, "test", "de")
    assert not source.has(card, "dev", "de")
    assert not source.has(card, "train", "de")
    assert not source.has(card, "test", "fr")
    assert hub.requests == []


def test_cards_that_are_not_on_the_hub_come_from_data_dir(hub: StandInHub, tmp_path: Path) -> None:
    card = replace(NLI, name="ccg", hub=None, local={"folder": "ccg", "splits": {"train": "train"}})
    (tmp_path / "ccg").mkdir()
    (tmp_path / "ccg" / "train.en.jsonl").write_text('{"label": 1}\n')
    mixed = HubSource(tmp_path)
    assert [row.values for row in mixed.read(card, "train", "en")] == [{"label": 1}]
    assert mixed.files(card, "train", "en") == [str(tmp_path / "ccg" / "train.en.jsonl")]
    bare = HubSource()
    assert not bare.has(card, "train", "en")
    assert "set `data_dir`" in bare.missing(card, "train", "en")[0]


def test_a_prepare_job_is_told_where_rows_of_ones_own_are(hub: StandInHub, tmp_path: Path) -> None:
    """The job gets a view of the card, which must name the user's files where the card has no `hub` section."""
    card = replace(NLI, name="mine", hub=None, local={"folder": "mine", "splits": {"train": "all", "test": "held_out"}})
    (tmp_path / "mine").mkdir()
    for name, word in (("all", "trained"), ("held_out", "scored")):
        row = {"premise": word, "hypothesis": "so", "label": 0}
        (tmp_path / f"mine/{name}.en.jsonl").write_text(json.dumps(row), encoding="utf-8")
    seen = card_from_view(card_view(card, "prepare", "hub"))
    source = HubSource(tmp_path)
    for split, word in (("train", "trained"), ("test", "scored")):
        assert source.has(seen, split, "en")
        assert [row.values["premise"] for row in source.read(seen, split, "en")] == [word]
    assert card.scored_splits("hub") == ("test",)
    assert "local" not in card_view(replace(card, hub=NLI.hub), "prepare", "hub")


def test_offline_says_so(hub: StandInHub, source: HubSource, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE is set"):
        values(source, NLI)


def test_parquet_of_the_fixtures_carries_label_names(tmp_path: Path) -> None:
    """The tests above would prove nothing if the label names were lost on the way."""
    (tmp_path / "x.parquet").write_bytes(parquet(nli_rows("x"), label=NAMES))
    assert b"contradiction" in pq.read_schema(tmp_path / "x.parquet").metadata[b"huggingface"]


def test_raw_text_is_ones_own_or_wikipedias_read_no_further_than_needed(hub: StandInHub, tmp_path: Path) -> None:
    articles = [{"text": f"Artikel {number}.\n\nNoch ein Absatz."} for number in range(3)]
    files = {f"20231101.de/train-0000{part}-of-00002.parquet": parquet(articles) for part in range(2)}
    commit = hub.repository("wikimedia/wikipedia").commit(files)
    pinned = ("wikimedia/wikipedia", commit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stiltgrid.data.sources.hub.WIKIPEDIA", pinned)
        source = HubSource(tmp_path, client=HubClient(pause=0.01))
        texts = source.text("de")
        assert next(texts) == "Artikel 0. Noch ein Absatz."
        assert not any("train-00001" in path for _, path in hub.requests), "the second file is not fetched yet"
        assert len(list(texts)) == 5
        with pytest.raises(SourceError, match="raw text of 'xx': .* has no 20231101.xx; set `data_dir`"):
            next(source.text("xx"))
        (tmp_path / "text").mkdir()
        (tmp_path / "text/de.txt").write_text("Mein Text.\n")
        assert list(source.text("de")) == ["Mein Text."]
