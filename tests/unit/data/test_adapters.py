"""Adapters: derivations, pools, sentences and mentions become the rows that families read."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stiltgrid.data.adapters import (
    bucc2018,
    ccg,
    has_rows,
    lareqa,
    mewslix,
    missing_rows,
    reshaped_rows,
    row_files,
    source_rows,
)  # fmt: skip
from stiltgrid.data.rows import RawRow
from stiltgrid.data.sentences import sentence_at, sentence_spans
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import RowError, SourceError

BARE = TaskCard("made", "embedding", "", "", ("zh",), "f1", 64)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def values(rows: Iterator[RawRow]) -> list[dict[str, Any]]:
    return [dict(row.values) for row in rows]


# ---- CCG ------------------------------------------------------------------------------------------------------------

DERIVATION = (
    r"(<T S[dcl] 0 2> (<T S[dcl] 1 2> (<T NP 0 1> (<L N NNP NNP Clara N>) ) (<T S[dcl]\NP 0 2> "
    r"(<L (S[dcl]\NP)/NP VBD VBD painted (S[dcl]\NP)/NP>) (<T NP 0 2> (<L NP[nb]/N DT DT a NP[nb]/N>) "
    r"(<L N NN NN -LRB- N>) ) ) ) (<L . . . . .>) )"
)
CCG = replace(
    BARE, name="ccg", family="tagging", languages=("en",), adapter="ccg",
    local={"folder": "ccg", "splits": {"train": "train", "dev": "validation"}},
)  # fmt: skip


def test_a_derivation_gives_its_leaves_and_their_categories() -> None:
    tokens, tags = ccg.parse_derivation(DERIVATION)
    assert tokens == ["Clara", "painted", "a", "(", "."]
    assert tags == ["N", r"(S[dcl]\NP)/NP", "NP[nb]/N", "N", "."]


def test_a_single_leaf_is_a_derivation() -> None:
    assert ccg.parse_derivation("(<L N NN NN boat N>)") == (["boat"], ["N"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (DERIVATION[:-2], "1 brackets still open"),
        (DERIVATION.replace("<T NP 0 1>", "<T NP 0 2>"), "a node states 2 children, found 1"),
        (DERIVATION + " (<L N NN NN boat N>)", "expected one derivation"),
        ("(<L N NN boat>)", "expected a CCGbank node at column 1"),
        ("", "expected a complete derivation"),
    ],
)
def test_broken_derivations_are_refused_with_their_place(line: str, problem: str) -> None:
    with pytest.raises(RowError, match="^00/wsj_0001.auto line 2: .*" + problem):
        ccg.parse_derivation(line, "00/wsj_0001.auto line 2")


def treebank(root: Path, sections: Iterable[int]) -> None:
    for section in (f"{number:02d}" for number in sections):
        folder = root / "ccg" / "data" / "AUTO" / section
        folder.mkdir(parents=True)
        (folder / f"wsj_{section}01.auto").write_text(f"ID=wsj_{section}01.1 PARSER=GOLD NUMPARSE=1\n{DERIVATION}\n")


def test_half_of_the_treebank_is_refused_with_the_sections_that_are_missing(tmp_path: Path) -> None:
    treebank(tmp_path, (0, 2, 5))
    source = LocalSource(tmp_path)
    [problem] = missing_rows(CCG, "train", "en", source, True, {})
    assert "has only part of the train sections: 03, 04, 06, 07," in problem and "21 missing, 02, 05 found" in problem
    with pytest.raises(SourceError, match="task 'ccg': .*ccg has only part of the train sections: 03, 04"):
        source_rows(CCG, "train", "en", source, True)
    assert missing_rows(CCG, "dev", "en", source, True, {}) == []
    fewer = replace(CCG, local={**(CCG.local or {}), "sections": {"train": ["02", "05"], "dev": ["00"]}})
    assert missing_rows(fewer, "train", "en", source, True, {}) == []
    assert len(list(source_rows(fewer, "train", "en", source, True))) == 2


def test_the_treebanks_sections_are_the_splits(tmp_path: Path) -> None:
    treebank(tmp_path, range(24))
    source = LocalSource(tmp_path)
    training = [f"wsj_{section:02d}01.1" for section in range(2, 22)]
    for split, names in (("train", training), ("dev", ["wsj_0001.1"])):
        rows = list(source_rows(CCG, split, "en", source, True))
        assert [row.values["id"] for row in rows] == names
        assert has_rows(CCG, split, "en", source, True, {})
    assert rows[0].place == "00/wsj_0001.auto line 2"
    assert row_files(CCG, "dev", "en", source, True, {}) == [
        str(tmp_path / "ccg" / "data" / "AUTO" / "00" / "wsj_0001.auto")
    ]


def test_json_lines_come_before_derivations(tmp_path: Path) -> None:
    write(tmp_path / "ccg" / "train.en.jsonl", [{"tokens": ["a"], "tags": ["N"]}])
    assert values(source_rows(CCG, "train", "en", LocalSource(tmp_path), True)) == [{"tokens": ["a"], "tags": ["N"]}]


def test_without_either_the_reader_learns_what_to_get_and_where_it_goes(tmp_path: Path) -> None:
    source = LocalSource(tmp_path)
    [problem] = missing_rows(CCG, "train", "en", source, True, {})
    assert "LDC2005T13" in problem
    assert f"{tmp_path}/ccg/train.en.jsonl" in problem
    assert f"{tmp_path}/ccg/data/AUTO" in problem
    with pytest.raises(SourceError, match="LDC2005T13"):
        source_rows(CCG, "train", "en", source, True)


# ---- BUCC -----------------------------------------------------------------------------------------------------------

BUCC = replace(
    BARE, name="bucc2018", adapter="bucc2018",
    local={"folder": "bucc", "splits": {"dev": {"pool": "pool", "gold": "gold"}, "test": None}},
)  # fmt: skip


def bucc_folder(tmp_path: Path, target: str = "en-2") -> Path:
    write(tmp_path / "bucc" / "pool.zh.jsonl", [{"id": "zh-1", "sentence": "一 "}, {"id": "zh-2", "sentence": "二"}])
    write(tmp_path / "bucc" / "pool.en.jsonl", [{"id": "en-1", "sentence": "one"}, {"id": "en-2", "sentence": "two"}])
    write(tmp_path / "bucc" / "gold.zh.jsonl", [{"source_id": "zh-2", "target_id": target}])
    return tmp_path


def test_pools_become_queries_and_candidates(tmp_path: Path) -> None:
    source = LocalSource(bucc_folder(tmp_path))
    rows = values(source_rows(BUCC, "dev", "zh", source, False))
    assert [(row["id"], row["role"], row["text"], row["gold"]) for row in rows] == [
        ("zh-1", "query", "一", []),
        ("zh-2", "query", "二", ["en-2"]),
        ("en-1", "candidate", "one", []),
        ("en-2", "candidate", "two", []),
    ]
    assert bucc2018.note(BUCC, source) is None
    assert [Path(path).name for path in row_files(BUCC, "dev", "zh", source, False, {})] == [
        "gold.zh.jsonl", "pool.zh.jsonl", "pool.en.jsonl"
    ]  # fmt: skip


def test_gold_must_name_pool_sentences(tmp_path: Path) -> None:
    source = LocalSource(bucc_folder(tmp_path, target="en-22"))
    with pytest.raises(RowError, match=r"bucc/gold.zh.jsonl line 1: .*found 'en-22'; did you mean 'en-2'\?"):
        values(source_rows(BUCC, "dev", "zh", source, False))


def test_a_missing_english_pool_is_named(tmp_path: Path) -> None:
    source = LocalSource(bucc_folder(tmp_path))
    (tmp_path / "bucc" / "pool.en.jsonl").unlink()
    [problem] = missing_rows(BUCC, "dev", "zh", source, False, {})
    assert problem.startswith("bucc/pool.en.jsonl.gz is missing")


def test_pairs_alone_are_marked_as_such(tmp_path: Path) -> None:
    pairs = [
        {"source_sentence": "一", "target_sentence": "one", "source_lang": "zh-7", "target_lang": "en-9"},
        {"source_sentence": "二", "target_sentence": "one", "source_lang": "zh-8", "target_lang": "en-9"},
    ]
    write(tmp_path / "bucc" / "validation.zh.jsonl", pairs)
    card = replace(BUCC, local={"folder": "bucc", "splits": {"dev": "validation"}})
    source = LocalSource(tmp_path)
    rows = values(source_rows(card, "dev", "zh", source, False))
    assert [(row["id"], row["gold"]) for row in rows] == [("zh-7", ["en-9"]), ("zh-8", ["en-9"]), ("en-9", [])]
    assert "not comparable" in (bucc2018.note(card, source) or "")


def test_pairs_without_ids_are_numbered(tmp_path: Path) -> None:
    pair = {"source_sentence": "一", "target_sentence": "one", "source_lang": "zh", "target_lang": "en"}
    write(tmp_path / "bucc" / "validation.zh.jsonl", [pair, pair])
    card = replace(BUCC, local={"folder": "bucc", "splits": {"dev": "validation"}})
    rows = values(source_rows(card, "dev", "zh", LocalSource(tmp_path), False))
    assert [row["id"] for row in rows] == ["zh-pair0", "zh-pair1", "en-pair0", "en-pair1"]


# ---- sentences and LAReQA -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. It pours!  Does it?", ["It rains.", "It pours!", "Does it?"]),
        ("Dr. Ada met J. R. Moreno. They left.", ["Dr. Ada met J. R. Moreno.", "They left."]),
        ("It weighs 3.5 kg, e.g. a cat. Fine.", ["It weighs 3.5 kg, e.g. a cat.", "Fine."]),
        ('He said "Stop." Then he left.[3] She stayed.', ['He said "Stop."', "Then he left.[3]", "She stayed."]),
        ("天气很好。我们去吧！", ["天气很好。", "我们去吧！"]),
        ("यह एक घर है। वह बड़ा है।", ["यह एक घर है।", "वह बड़ा है।"]),
        ("هل هذا بيت؟ نعم.", ["هل هذا بيت؟", "نعم."]),
        ("Τι είναι; Ένα σπίτι.", ["Τι είναι;", "Ένα σπίτι."]),
        ("One; two; three.", ["One; two; three."]),
        (" no end ", ["no end"]),
        ("", []),
    ],
)
def test_sentences_by_rule(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


def test_the_sentence_at_an_offset() -> None:
    text = "Ada bakes. Bruno builds."
    assert sentence_at(text, text.index("builds")) == "Bruno builds."
    assert sentence_at(text, 10) is None


SQUAD = {
    "id": "q1",
    "context": "Ada bakes bread. Bruno builds a bridge.",
    "question": " What does Bruno build?",
    "answers": {"text": ["a bridge"], "answer_start": [30]},
}


def test_a_squad_row_becomes_a_question_and_its_sentence_in_context() -> None:
    row = lareqa.example(BARE, RawRow(SQUAD, "here"), "en", "train")
    assert row is not None
    assert row.values == {
        "id": "q1",
        "role": "pair",
        "text": "What does Bruno build?",
        "text_pair": None,
        "candidate": "Bruno builds a bridge.",
        "candidate_pair": SQUAD["context"],
    }


def test_questions_without_an_answer_make_no_pair() -> None:
    row = RawRow({**SQUAD, "answers": {"text": [], "answer_start": []}}, "here")
    assert lareqa.example(BARE, row, "en", "train") is None


def test_paragraphs_become_questions_and_candidates() -> None:
    other = {**SQUAD, "id": "q2", "answers": {"text": ["bread"], "answer_start": [10]}}
    rows = values(lareqa.retrieval_rows(iter([RawRow(SQUAD, "1"), RawRow(other, "2")]), "en"))
    assert [(row["id"], row["gold"]) for row in rows if row["role"] == "query"] == [
        ("q1", ["en-0-1"]),
        ("q2", ["en-0-0"]),
    ]
    assert [(row["id"], row["text"]) for row in rows if row["role"] == "candidate"] == [
        ("en-0-0", "Ada bakes bread."),
        ("en-0-1", "Bruno builds a bridge."),
    ]


def test_a_mirrors_questions_and_candidates(tmp_path: Path) -> None:
    question = {"question_id": "q1", "lang": "de", "question": "Was?", "answer_candidate_ids": ["de-0-0-0"]}
    candidate = {"candidate_id": "de-0-0-0", "lang": "de", "sentence": "Ein Satz.", "context": "Ein Satz. Noch einer."}
    write(tmp_path / "lareqa" / "questions.de.jsonl", [question])
    write(tmp_path / "lareqa" / "candidates.de.jsonl", [candidate])
    local = {"folder": "lareqa", "splits": {"test": {"questions": "questions", "candidates": "candidates"}}}
    card = replace(BARE, name="lareqa", adapter="lareqa", languages=("de",), local=local)
    source = LocalSource(tmp_path)
    rows = values(source_rows(card, "test", "de", source, False))
    assert [(row["role"], row["id"], row["text"], row["text_pair"], row["gold"]) for row in rows] == [
        ("query", "q1", "Was?", None, ["de-0-0-0"]),
        ("candidate", "de-0-0-0", "Ein Satz.", "Ein Satz. Noch einer.", []),
    ]
    assert lareqa.note(card, source) is None
    assert "cut by rule" in (lareqa.note(replace(card, local={"splits": {"test": "validation"}}), source) or "")


# ---- Mewsli-X -------------------------------------------------------------------------------------------------------

CONTEXT = {
    "text": "A quiet week. Ada {of Lima}, the baker, sang. Many came.",
    "sentence_spans": [{"start": 0, "end": 13}, {"start": 14, "end": 45}, {"start": 46, "end": 56}],
}
MENTION = {"example_id": "m1", "mention_span": {"start": 14, "end": 17, "text": "Ada"}, "entity_id": "Q1"}
ENTITY = {
    "entity_id": "Q1",
    "title": "Ada",
    "description": "Ada is a\nbaker.  She sings. Junk",
    "sentence_spans": [{"start": 0, "end": 15}, {"start": 17, "end": 27}],
}


def here(values: dict[str, Any]) -> RawRow:
    return RawRow(values, "news line 1")


def test_a_query_is_one_sentence_with_its_mention_marked() -> None:
    assert mewslix.query(here(CONTEXT), here(MENTION)) == "Ada: { Ada } (of Lima), the baker, sang."


def test_mentions_off_their_offset_or_across_sentences_are_refused() -> None:
    moved = {**MENTION, "mention_span": {"start": 15, "end": 18, "text": "Ada"}}
    with pytest.raises(RowError, match="news line 1: mention 'm1': expected 'Ada' at 15, found 'da '"):
        mewslix.query(here(CONTEXT), here(moved))
    across = {**MENTION, "mention_span": {"start": 8, "end": 17, "text": CONTEXT["text"][8:17]}}
    with pytest.raises(RowError, match="inside one sentence"):
        mewslix.query(here(CONTEXT), here(across))


def test_a_description_is_its_sentences() -> None:
    assert mewslix.description(here(ENTITY)) == "Ada is a baker. She sings."


def test_a_pair_is_a_mention_and_its_entity() -> None:
    values = {"contextual_mention": {"context": CONTEXT, "mention": MENTION}, "entity": ENTITY}
    row = mewslix.example(BARE, RawRow(values, "pairs line 1"), "en", "train")
    assert row is not None
    assert row.values["text"].startswith("Ada: { Ada }")
    assert row.values["candidate"] == "Ada is a baker. She sings."


def test_nested_mentions_are_flattened_and_the_pool_comes_once(tmp_path: Path) -> None:
    second = {"example_id": "m2", "mention_span": {"start": 30, "end": 35, "text": "baker"}, "entity_id": "Q2"}
    second["mention_span"]["start"] = CONTEXT["text"].index("baker")
    second["mention_span"]["end"] = second["mention_span"]["start"] + 5
    for language in ("en", "de"):
        write(
            tmp_path / "mewslix" / f"mentions.{language}.jsonl", [{"context": CONTEXT, "mentions": [MENTION, second]}]
        )
    write(tmp_path / "mewslix" / "candidates.en.jsonl", [ENTITY])
    write(tmp_path / "mewslix" / "pairs.en.jsonl", [{"contextual_mention": {}, "entity": ENTITY}])
    parts = {"pairs": "pairs", "mentions": "mentions", "candidates": "candidates"}
    card = replace(
        BARE,
        name="mewslix",
        adapter="mewslix",
        languages=("de", "en"),
        local={"folder": "mewslix", "splits": {"dev": parts}},
    )
    source = LocalSource(tmp_path)
    first, other = (values(source_rows(card, "dev", language, source, False)) for language in ("de", "en"))
    assert [(row["id"], row["gold"]) for row in first] == [("m1", ["Q1"]), ("m2", ["Q2"]), ("Q1", [])]
    assert [row["role"] for row in other] == ["query", "query"]
    assert list(values(source_rows(card, "dev", "en", source, True))[0]) == ["contextual_mention", "entity"]
    assert not has_rows(card, "dev", "de", source, True, {})
    assert missing_rows(card, "dev", "fr", source, False, {})[0].startswith("mewslix/mentions.fr.jsonl.gz is missing")


# ---- Belebele's training set ----------------------------------------------------------------------------------------


def test_one_file_of_training_and_development_rows_is_divided_by_its_column() -> None:
    folder = Path(__file__).parents[2] / "data" / "mirror"
    splits = dict.fromkeys(("train", "dev"), "belebele_training_set.tsv")
    local = {"folder": "belebele_train", "quoting": True, "splits": splits}
    card = replace(BARE, name="belebele_train", adapter="belebele_train", languages=("en",), local=local)
    source = LocalSource(folder)
    found = {
        split: values(reshaped_rows(card, source_rows(card, split, "en", source, True), "en", split))
        for split in ("train", "dev")
    }
    assert {split: {row["split"] for row in rows} for split, rows in found.items()} == {
        "train": {"train"},
        "dev": {"dev"},
    }
    assert len(found["train"]) == 12 and len(found["dev"]) == len(
        (folder / "squad/validation.en.jsonl").read_text().splitlines()
    )
    assert "\n" in found["train"][0]["passage"] and '"' in found["train"][1]["question"]
