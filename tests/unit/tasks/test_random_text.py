"""Properties over random text: odd Unicode, both normal forms, right to left, no spaces, invisible characters.

The cases are the same in every run. `HYPOTHESIS_PROFILE=random` draws others.
"""

import json
import os
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.scheme import IOB2, IOBES, Entities
from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.tagging import CONTINUED
from stiltgrid.tasks.families.windows import Spans, continues_character
from stiltgrid.tasks.metrics.chunks import chunk_scores, chunks
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

COMMON: dict[str, Any] = {
    "deadline": None, "database": None, "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}  # fmt: skip
settings.register_profile("same", derandomize=True, **COMMON)
settings.register_profile("random", **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

SPECIAL = ("<s>", "<pad>", "</s>", "<mask>", "<unk>")
LETTERS = (
    "abzAEIßİıøñéüåçơữ" "αΩάё" "שָׁלֹם" "العَرَبِيَّةُ" "हिन्दीक़ज़" "ภาษาไทยกำลัง" "灯塔老" "がぎガﾌﾟ" "한국어"
    "\u1112\u1161\u11ab" "ﬁ½①Ａ﷼" "😀👩🏽" "𝔸𐍈𠀋"
)  # fmt: skip
MARKS = "\u0301\u0308\u0323\u0327\u0300\u0331\u05b8\u064e\u0651\u093c\u0e31\u0e48\u20dd\ufe0f\u3099"
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u0000\u001f"
BLANKS = " \u00a0\u3000\t\n"
character = st.one_of(
    st.sampled_from(LETTERS), st.sampled_from(LETTERS), st.sampled_from(MARKS), st.sampled_from(INVISIBLE),
    st.sampled_from(BLANKS), st.sampled_from(".,-'\"()<>[]#▁"), st.characters(exclude_categories=("Cs",)),
)  # fmt: skip
piece = st.one_of(st.text(character, max_size=12), st.sampled_from(SPECIAL), st.just("René Ωmega"))
form = st.sampled_from(["NFC", "NFD", "NFKD", None])


@st.composite
def text(draw: st.DrawFn, pieces: int = 6) -> str:
    """A text of several pieces, in one of the normal forms or as it is."""
    found, normal = "".join(draw(st.lists(piece, min_size=1, max_size=pieces))), draw(form)
    return unicodedata.normalize(normal, found) if normal else found


def made(folder: Path, name: str) -> SubwordTokenizer:
    """A tokenizer whose every character is a token, so that nothing but spans decides where an answer ends."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *sorted({*LETTERS, *MARKS, "▁"})])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    if name == "composing":
        tokenizer.normalizer = normalizers.NFKC()
    elif name == "stripping":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif name == "bytes":
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(models.BPE({token: n for n, token in enumerate([*SPECIAL, *letters])}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens(list(SPECIAL))
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    layout = {"pad": 1, "mask": 3, "prefix": [0], "middle": [2, 2], "suffix": [2], "causal": name == "bytes"}
    (folder / "special_tokens.json").write_text(json.dumps(layout), encoding="utf-8")
    return SubwordTokenizer(folder)


@pytest.fixture(scope="module", params=["plain", "composing", "stripping", "bytes"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SubwordTokenizer:
    return made(tmp_path_factory.mktemp("tokenizer") / request.param, request.param)


def card(kind: str, fields: dict[str, str], labels: tuple[str, ...] = (), **options: Any) -> TaskCard:
    return TaskCard("random", kind, "", "", ("xx",), "f1", 96, labels=labels, fields=fields, options=options)


SPAN = card("span", {"context": "context", "question": "question", "answers": "answers"}, empty_texts="keep")


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """A context and an answer in it, which begins and ends with whole characters."""
    context = draw(text())
    edges = [place for place in range(len(context)) if not continues_character(context[place])] + [len(context)]
    assume(len(edges) > 1)
    first = draw(st.integers(0, len(edges) - 2))
    last = draw(st.integers(first + 1, min(first + 12, len(edges) - 1)))
    start, answer = edges[first], context[edges[first] : edges[last]]
    assume(answer.strip())
    return {"context": context, "question": "?", "answers": {"text": [answer], "answer_start": [start]}}


def read_by_tokens(tokenizer: SubwordTokenizer, context: str, start: int, stop: int) -> str:
    """The part of an answer between the first and the last of its characters that become tokens."""
    spans = Spans.of(tokenizer.pieces([context])[0], context)
    read = np.zeros(len(context) + 1, dtype=bool)
    for begin, end in zip(spans.starts.tolist(), spans.ends.tolist(), strict=True):
        read[begin:end] = True
    places = [place for place in range(start, stop) if read[place] and context[place].strip()]
    return context[places[0] : places[-1] + 1].strip() if places else ""


@settings(max_examples=250)
@given(questions())
def test_an_answer_comes_back_from_its_tokens_character_for_character(
    tokenizer: SubwordTokenizer, row: dict[str, Any]
) -> None:
    kind = family("span")
    rows = pa.Table.from_pylist(kind.examples(SPAN, [RawRow(row, "row 1")], "xx", "dev"), schema=kind.schema)
    columns = kind.encode(SPAN, rows, tokenizer, SPAN.max_length, False)
    outputs = []
    for start, end, starts, ends in zip(*(columns[n] for n in ("start", "end", "char_start", "char_end")), strict=True):
        best = [1.0, starts[start], ends[end]] if end else [-np.inf, 0, 0]
        outputs.append(np.asarray([[0.0, 0, 0], best]))
    decoded = kind.decode(SPAN, outputs, {"example": columns["example"]}, rows, {})
    (answer,), start = row["answers"]["text"], row["answers"]["answer_start"][0]
    expected = read_by_tokens(tokenizer, row["context"], start, start + len(answer))
    assume(expected)
    (found,) = decoded.column("prediction").to_pylist()
    assert found == expected


@settings(max_examples=200)
@given(text())
def test_spans_lie_in_the_text_and_end_with_whole_characters(tokenizer: SubwordTokenizer, context: str) -> None:
    pieces = tokenizer.pieces([context])[0]
    spans = Spans.of(pieces, context)
    assert (np.diff(spans.starts) >= 0).all() and (np.diff(spans.ends) >= 0).all()
    assert all(0 <= start <= end <= len(context) for start, end in zip(spans.starts, spans.ends, strict=True))
    for place, end in enumerate(spans.ends.tolist()):
        following = spans.starts[place + 1] if place + 1 < len(spans.starts) else len(context)
        assert end >= following or not continues_character(context[end]), "a mark that no token covers"


@settings(max_examples=150)
@given(text(), st.lists(text(2), min_size=1, max_size=5))
def test_no_text_yields_a_special_token(tokenizer: SubwordTokenizer, context: str, words: list[str]) -> None:
    special = {0, 1, 2, 3}
    assert special.isdisjoint(tokenizer.ids([context])[0])
    assert special.isdisjoint(tokenizer.word_ids([words])[0][0])


LABELS = ("O", "B-Legal Entity", "I-Legal Entity", "B-\u0301\n", "I- ", "o")


@settings(max_examples=150)
@given(st.lists(st.tuples(text(2), st.sampled_from(LABELS)), min_size=1, max_size=60), st.integers(12, 96))
def test_tags_come_back_from_their_words_whatever_they_hold(
    tokenizer: SubwordTokenizer, tagged: list[tuple[str, str]], max_length: int
) -> None:
    kind, task = family("tagging"), card("tagging", {"tokens": "tokens", "tags": "tags"}, LABELS, scheme="plain")
    words, tags = [word for word, _ in tagged], [tag for _, tag in tagged]
    examples = kind.examples(task, [RawRow({"tokens": words, "tags": tags}, "row 1")], "xx", "dev")
    rows = pa.Table.from_pylist(examples, schema=kind.schema)
    columns = kind.encode(task, rows, tokenizer, max_length, False)
    assert max(map(len, columns["input_ids"])) <= max_length
    outputs = [np.asarray([tag for tag in piece if tag != CONTINUED]) for piece in columns["tag"]]
    decoded = kind.decode(task, outputs, {"example": columns["example"]}, rows, {})
    assert decoded.column("prediction").to_pylist() == decoded.column("gold").to_pylist() == [tags]
    assert decoded.column("score").to_pylist() == [1.0]


def sentences(prefixes: str) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    """Gold and predicted tags of some sentences, of few types so that chunks often meet."""
    types = ("PER", "ORG", "a-b", "O", "S E")
    tag = st.sampled_from(["O", "O", *(f"{prefix}-{type_}" for prefix in prefixes for type_ in types)])
    pair = st.lists(st.tuples(tag, tag), min_size=1, max_size=9)
    return st.lists(
        pair.map(lambda tags: ([gold for gold, _ in tags], [guess for _, guess in tags])), min_size=1, max_size=5
    )


@pytest.mark.parametrize("prefixes", ["BI", "BIES"])
def test_chunks_in_default_mode_are_seqevals(prefixes: str) -> None:
    @settings(max_examples=400)
    @given(sentences(prefixes))
    def check(pairs: list[tuple[list[str], list[str]]]) -> None:
        golds, guesses = [gold for gold, _ in pairs], [guess for _, guess in pairs]
        for tags in (*golds, *guesses):
            assert chunks(tags) == get_entities(tags)
        ours = chunk_scores(golds, guesses)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of scores without any chunk
            precision, recall, f1, _ = precision_recall_fscore_support(golds, guesses, average="micro")
        theirs = {"f1": f1, "precision": precision, "recall": recall}
        assert ours == {name: pytest.approx(100 * score) for name, score in theirs.items()}

    check()


@pytest.mark.parametrize(("scheme", "prefixes", "theirs"), [("bio", "BI", IOB2), ("bioes", "BIES", IOBES)])
def test_chunks_in_strict_mode_are_seqevals(scheme: str, prefixes: str, theirs: type) -> None:
    @settings(max_examples=400)
    @given(sentences(prefixes))
    def check(pairs: list[tuple[list[str], list[str]]]) -> None:
        golds, guesses = [gold for gold, _ in pairs], [guess for _, guess in pairs]
        for tags in (*golds, *guesses):
            entities = Entities([tags], theirs).entities[0]
            assert chunks(tags, "strict", scheme) == [(item.tag, item.start, item.end - 1) for item in entities]
        ours = chunk_scores(golds, guesses, "strict", scheme)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = f1_score(golds, guesses, mode="strict", scheme=theirs)
        assert ours["f1"] == pytest.approx(100 * expected)

    check()
