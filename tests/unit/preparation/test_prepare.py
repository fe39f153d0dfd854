"""Canonical rows end to end: source, adapter, family, file. Bad rows are named by file and line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from prepared import provenance
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation
from stiltgrid.grid.recipes import of_version
from stiltgrid.preparation.prepare import UNSEEN, prepare_eval, prepare_train, prepare_variant
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.utils.errors import RowError, SourceError, StiltgridError

NLI = TaskCard(
    name="nli", family="sequence", about="", citation="", languages=("de", "en"), metric="accuracy", max_length=64,
    fields={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"), label_values=(0, 1, 2), drop_labels=(-1,),
    local={"folder": "nli", "splits": {"train": "train", "dev": "dev", "test": "test"}},
)  # fmt: skip
TAGS = replace(
    NLI, name="tags", family="tagging", fields={"tokens": "tokens", "tags": "tags"}, labels=("N", "V"), label_values=(),
    local={"folder": "tags", "splits": {"train": "train", "dev": "dev"}},
)  # fmt: skip
SPANS = replace(
    NLI, name="spans", family="span", labels=(),
    fields={name: name for name in ("id", "context", "question", "answers")},
    local={"folder": "spans", "splits": {"train": "train", "dev": "dev"}},
)  # fmt: skip
CHOICE = replace(
    NLI, name="choice", family="choice", fields={"context": "premise", "choices": ["a", "b"], "label": "label"},
    labels=("a", "b"), label_values=(0, 1), local={"folder": "choice", "splits": {"train": "train", "dev": "dev"}},
)  # fmt: skip
PAIR = {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0}
SENTENCE = {"tokens": ["boats", "float"], "tags": ["N", "V"]}
QUESTION = {
    "id": "q1",
    "context": "Ada bakes bread.",
    "question": "Who bakes?",
    "answers": {"text": ["Ada"], "answer_start": [0]},
}
OPTIONS = {"premise": "It rains.", "a": "It is wet.", "b": "It is dry.", "label": 0}


class Workshop:
    """A mirror in a temporary folder, and what is made of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.train, self.dev, self.eval = (
            root / "out" / "train.parquet",
            root / "out" / "dev.parquet",
            root / "out" / "eval.parquet",
        )

    def write(self, name: str, rows: list[dict[str, Any]] | str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))

    def prepare_train(self, card: TaskCard, **origins: TaskCard) -> tuple[list[dict], list[dict]]:
        prepare_train(card, origins, card.train_languages, LocalSource(self.root), self.train, self.dev)
        return pq.read_table(self.train).to_pylist(), pq.read_table(self.dev).to_pylist()

    def prepare_eval(self, card: TaskCard, languages: tuple[str, ...], examples: int | None = None) -> list[dict]:
        source = LocalSource(self.root)
        prepare_eval(card, {}, languages, ("dev", "test"), source, Evaluation(examples), self.eval)
        return pq.read_table(self.eval).to_pylist()


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def pairs(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{**PAIR, "premise": f"It rains for {number} days.", **more} for number in range(count)]


def test_training_rows_are_canonical_and_say_where_they_come_from(shop: Workshop) -> None:
    shop.write("nli/train.en.jsonl", [PAIR, {**PAIR, "label": -1}, {**PAIR, "label": 2}])
    shop.write("nli/dev.en.jsonl", pairs(2))
    train, dev = shop.prepare_train(NLI)
    assert train == [
        {
            "id": "en-train-0",
            "language": "en",
            "split": "train",
            "text_a": "It rains.",
            "text_b": "It is wet.",
            "label": 0,
        },
        {
            "id": "en-train-2",
            "language": "en",
            "split": "train",
            "text_a": "It rains.",
            "text_b": "It is wet.",
            "label": 2,
        },
    ]
    assert [row["split"] for row in dev] == ["dev", "dev"]
    facts = provenance(shop.train)
    assert facts["rows"] == {"en/train": 2}
    assert set(facts["provenance"]["files"]) == {"nli/train.en.jsonl", "nli/dev.en.jsonl"}


def test_evaluation_has_every_language_and_the_splits_that_each_has(shop: Workshop) -> None:
    for name, count in (("dev.en", 3), ("test.en", 4), ("test.de", 4)):
        shop.write(f"nli/{name}.jsonl", pairs(count))
    rows = shop.prepare_eval(NLI, ("de", "en"))
    assert provenance(shop.eval)["rows"] == {"de/test": 4, "en/dev": 3, "en/test": 4}
    assert len({(row["id"], row["language"], row["split"]) for row in rows}) == 11


def test_subsamples_are_the_same_rows_of_every_language(shop: Workshop) -> None:
    for language in ("de", "en"):
        shop.write(f"nli/test.{language}.jsonl", pairs(40))
    rows = shop.prepare_eval(NLI, ("de", "en"), examples=7)
    drawn = {code: [row["text_a"] for row in rows if row["language"] == code] for code in ("de", "en")}
    assert len(drawn["de"]) == 7
    assert drawn["de"] == drawn["en"]


def test_rows_of_several_cards_are_joined_and_their_labels_mapped_by_name(shop: Workshop) -> None:
    for folder in ("one", "two"):
        shop.write(f"{folder}/train.en.jsonl", pairs(2, label=1))
        shop.write(f"{folder}/dev.en.jsonl", pairs(1, label=1))
    one = replace(NLI, name="one", local={**(NLI.local or {}), "folder": "one"})
    two = replace(
        one, name="two", labels=("contradiction", "entailment", "neutral"), local={**(one.local or {}), "folder": "two"}
    )
    both = replace(NLI, name="both", local=None, rows={"train": ("one", "two"), "dev": ("one", "two")})
    train, dev = shop.prepare_train(both, one=one, two=two)
    assert [(row["id"], row["label"]) for row in train] == [
        ("one/en-train-0", 1), ("one/en-train-1", 1), ("two/en-train-0", 0), ("two/en-train-1", 0)
    ]  # fmt: skip
    assert [row["id"] for row in dev] == ["one/en-dev-0", "two/en-dev-0"]


def test_a_card_whose_rows_are_not_there_is_not_left_out_silently(shop: Workshop) -> None:
    shop.write("one/train.en.jsonl", pairs(2))
    one = replace(NLI, name="one", local={**(NLI.local or {}), "folder": "one"})
    two = replace(one, name="two", local={**(one.local or {}), "folder": "two"})
    both = replace(NLI, name="both", local=None, rows={"train": ("one", "two"), "dev": ("one",)})
    with pytest.raises(
        SourceError, match="task 'both' takes its train rows from 'two': .*two/train.en.jsonl.gz is missing"
    ):
        shop.prepare_train(both, one=one, two=two)


def test_development_rows_drawn_from_training_are_not_trained_on(shop: Workshop) -> None:
    shop.write("nli/train.en.jsonl", pairs(20))
    card = replace(NLI, dev_from_train=5, local={"folder": "nli", "splits": {"train": "train"}})
    train, dev = shop.prepare_train(card)
    assert (len(train), len(dev)) == (15, 5)
    assert not {row["id"] for row in train} & {row["id"] for row in dev}
    assert {row["split"] for row in dev} == {"dev"}
    again = shop.prepare_train(card)
    assert again == (train, dev)
    with pytest.raises(SourceError, match="dev_from_train takes 20 of 20 training rows; none would be left"):
        shop.prepare_train(replace(card, dev_from_train=20))


def test_training_without_development_rows_is_refused(shop: Workshop) -> None:
    shop.write("nli/train.en.jsonl", pairs(2))
    with pytest.raises(
        SourceError, match="task 'nli': no dev rows in en .*nli/dev.en.jsonl.gz is missing.*dev_from_train"
    ):
        shop.prepare_train(NLI)
    assert not shop.train.exists()


def test_all_that_is_missing_is_named_at_once(shop: Workshop) -> None:
    shop.write("nli/other.en.jsonl", pairs(1))
    card = replace(NLI, local={"folder": "nli", "splits": {"train": ["first", "second"], "dev": "dev"}})
    with pytest.raises(SourceError, match="nli/first.en.jsonl.gz is missing.*nli/second.en.jsonl.gz is missing"):
        shop.prepare_train(card)


def test_tags_may_be_collected_from_the_training_rows(shop: Workshop) -> None:
    shop.write(
        "tags/train.en.jsonl", [{"tokens": ["a", "b"], "tags": ["S\\NP", "N"]}, {"tokens": ["c"], "tags": ["N"]}]
    )
    shop.write("tags/dev.en.jsonl", [{"tokens": ["a", "b"], "tags": ["N", "N/N"]}])
    card = replace(TAGS, labels=(), options={"labels_from_data": True})
    train, dev = shop.prepare_train(card)
    labels = with_labels(card, pq.read_schema(shop.train)).labels
    assert labels == ("N", "S\\NP", UNSEEN)
    assert [row["tags"] for row in train] == [[1, 0], [0]]
    assert dev[0]["tags"] == [0, labels.index(UNSEEN)]
    assert with_labels(card, pq.read_schema(shop.dev)).labels == labels
    assert " " not in UNSEEN


def test_an_adapters_note_stands_in_the_file(shop: Workshop) -> None:
    pair = {"source_sentence": "eins", "target_sentence": "one", "source_lang": "de-1", "target_lang": "en-1"}
    shop.write("bucc/dev.de.jsonl", [pair])
    card = TaskCard(
        "bucc2018", "embedding", "", "", ("de",), "f1", 64, adapter="bucc2018",
        fields={"id": "id", "role": "role", "text": "text", "gold": "gold"},
        options={"mining": "margin"}, local={"folder": "bucc", "splits": {"dev": "dev"}},
    )  # fmt: skip
    rows = shop.prepare_eval(card, ("de",))
    assert [(row["role"], row["text"]) for row in rows] == [("query", "eins"), ("candidate", "one")]
    assert "not comparable" in provenance(shop.eval)["note"]


BAD_ROWS = {
    "label outside the card": (NLI, {**PAIR, "label": 3}, "label 3 is not in card 'nli'"),
    "label as an unknown word": (NLI, {**PAIR, "label": "neutrall"}, "did you mean 'neutral'?"),
    "missing column": (NLI, {"premise": "It rains.", "label": 0}, "no column 'hypothesis'"),
    "empty text": (NLI, {**PAIR, "premise": " "}, "empty"),
    "text that is none": (NLI, {**PAIR, "premise": None}, "expected text, found nothing (null)"),
    "unequal lengths": (TAGS, {**SENTENCE, "tags": ["N"]}, "found 2 tokens and 1 tags"),
    "unknown tag": (TAGS, {**SENTENCE, "tags": ["N", "X"]}, "label 'X' is not in card 'tags'"),
    "no tokens": (TAGS, {"tokens": [], "tags": []}, "found 0 tokens and 0 tags"),
    "misplaced answer": (SPANS, {**QUESTION, "id": "q2", "answers": {"text": ["Ada"], "answer_start": [1]}}, "Ada"),
    "answer beyond the context": (
        SPANS,
        {**QUESTION, "id": "q2", "answers": {"text": ["x"], "answer_start": [99]}},
        "99",
    ),
    "no answer": (SPANS, {**QUESTION, "id": "q2", "answers": {"text": [], "answer_start": []}}, "without an answer"),
    "choice label": (CHOICE, {**OPTIONS, "label": 2}, "label 2 is not in card 'choice'"),
    "choice missing": (CHOICE, {key: OPTIONS[key] for key in ("premise", "a", "label")}, "no column 'b'"),
}
GOOD_ROWS = {"nli": PAIR, "tags": SENTENCE, "spans": QUESTION, "choice": OPTIONS}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused_with_file_and_line(shop: Workshop, name: str) -> None:
    card, row, problem = BAD_ROWS[name]
    shop.write(f"{card.name}/train.en.jsonl", [GOOD_ROWS[card.name], row])
    shop.write(f"{card.name}/dev.en.jsonl", [GOOD_ROWS[card.name]])
    with pytest.raises(RowError) as caught:
        shop.prepare_train(card)
    assert caught.value.place == f"{card.name}/train.en.jsonl line 2"
    assert problem in caught.value.problem
    assert not shop.train.exists()
    assert not list(shop.root.glob("out/*"))


@pytest.mark.parametrize("card", [NLI, TAGS, SPANS, CHOICE], ids=lambda card: card.name)
def test_the_good_rows_beside_them_pass(shop: Workshop, card: TaskCard) -> None:
    """The test above would prove nothing if every row were refused."""
    for split in ("train", "dev"):
        shop.write(f"{card.name}/{split}.en.jsonl", [GOOD_ROWS[card.name]])
    train, dev = shop.prepare_train(card)
    assert (len(train), len(dev)) == (1, 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "nli/train.en.jsonl: expected rows, found an empty file"),
        (json.dumps(PAIR) + '\n{"premise": \n', "nli/train.en.jsonl line 2: expected a JSON object, found broken JSON"),
    ],
)
def test_bad_files_are_refused(shop: Workshop, content: str, problem: str) -> None:
    shop.write("nli/train.en.jsonl", content)
    shop.write("nli/dev.en.jsonl", pairs(1))
    with pytest.raises(StiltgridError, match=problem):
        shop.prepare_train(NLI)


def test_repeated_ids_are_refused(shop: Workshop) -> None:
    shop.write("spans/train.en.jsonl", [QUESTION, {**QUESTION, "question": "Who sings?"}])
    shop.write("spans/dev.en.jsonl", [QUESTION])
    with pytest.raises(RowError, match="task 'spans', train rows in en: .*found 1 that are repeated, among them 'q1'"):
        shop.prepare_train(SPANS)


def test_a_split_whose_rows_are_all_dropped_is_refused(shop: Workshop) -> None:
    shop.write("nli/train.en.jsonl", pairs(3, label=-1))
    shop.write("nli/dev.en.jsonl", pairs(1))
    with pytest.raises(SourceError, match="task 'nli': no train rows in en: every row was left out"):
        shop.prepare_train(NLI)


def test_a_language_without_rows_is_refused(shop: Workshop) -> None:
    shop.write("nli/test.en.jsonl", pairs(3))
    with pytest.raises(SourceError, match=r"task 'nli': no dev or test rows in de .*did you mean 'test.en.jsonl'\?"):
        shop.prepare_eval(NLI, ("en", "de"))
    assert not shop.eval.exists()


def in_languages(shop: Workshop, card: TaskCard, **codes: tuple[str, ...]) -> tuple[list[dict], list[dict]]:
    """Training rows of a card in languages by version, `original` first, and its English development rows."""
    parts = [(of_version(card, version), {}, found) for version, found in {"original": (), **codes}.items()]
    prepare_variant(parts, ("en",), LocalSource(shop.root), shop.train, shop.dev)
    return pq.read_table(shop.train).to_pylist(), pq.read_table(shop.dev).to_pylist()


TRANSLATED = replace(
    NLI,
    versions={"translate_train": {"languages": ["de", "sw"], "local": {"folder": "xnli", "splits": {"train": "t"}}}},
)


def test_training_rows_of_other_languages_come_from_their_version_and_dev_stays_english(shop: Workshop) -> None:
    shop.write("nli/train.en.jsonl", pairs(3))
    shop.write("nli/dev.en.jsonl", pairs(2))
    shop.write("nli/dev.de.jsonl", pairs(2))
    shop.write("xnli/t.de.jsonl", pairs(4))
    shop.write("xnli/t.sw.jsonl", pairs(5))
    train, dev = in_languages(shop, TRANSLATED, original=("en",), translate_train=("de", "sw"))
    assert [row["language"] for row in train] == ["en"] * 3 + ["de"] * 4 + ["sw"] * 5
    assert {row["language"] for row in dev} == {"en"} and len(dev) == 2
    alone, _ = in_languages(shop, TRANSLATED, translate_train=("sw",))
    assert {row["language"] for row in alone} == {"sw"}


def test_translations_of_held_out_rows_are_not_trained_on(shop: Workshop) -> None:
    card = replace(TRANSLATED, dev_from_train=2, fields={**NLI.fields, "id": "id"})
    rows = [{**PAIR, "id": f"row{number}"} for number in range(6)]
    shop.write("nli/train.en.jsonl", rows)
    shop.write("xnli/t.de.jsonl", rows)
    train, dev = in_languages(shop, card, original=("en",), translate_train=("de",))
    held = {row["id"] for row in dev}
    assert len(held) == 2 and {row["language"] for row in dev} == {"en"}
    assert len(train) == 8 and not held & {row["id"] for row in train}


def test_tags_of_all_languages_make_one_inventory(shop: Workshop) -> None:
    card = replace(TAGS, labels=(), options={"labels_from_data": True}, versions={"original": {}})
    shop.write("tags/train.en.jsonl", [SENTENCE])
    shop.write("tags/train.de.jsonl", [{"tokens": ["schwimmt"], "tags": ["W"]}])
    shop.write("tags/dev.en.jsonl", [SENTENCE])
    in_languages(shop, card, original=("en", "de"))
    assert with_labels(card, pq.read_schema(shop.train)).labels == ("N", "V", "W", UNSEEN)
