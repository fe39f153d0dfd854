"""Every field of every family with every kind of wrong value: one error with file, line and field, and nothing else."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stiltgrid.data.rows import GuardedRows, RawRow
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation
from stiltgrid.preparation.prepare import prepare_eval, prepare_train
from stiltgrid.utils.errors import RowError, SourceError, StiltgridError

BASE = TaskCard(
    name="nli", family="sequence", about="", citation="", languages=("en",), metric="accuracy", max_length=64,
    fields={"id": "id", "text_a": "premise", "text_b": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"), label_values=(0, 1, 2), drop_labels=(-1,),
    local={"folder": "rows", "splits": {"train": "train", "dev": "dev"}},
)  # fmt: skip
CARDS = {
    "sequence": BASE,
    "tagging": replace(
        BASE, family="tagging", fields={"id": "id", "tokens": "tokens", "tags": "tags"}, labels=("N", "V"),
        label_values=(), drop_labels=("_",),
    ),
    "open tags": replace(
        BASE, family="tagging", fields={"id": "id", "tokens": "tokens", "tags": "tags"}, labels=(), label_values=(),
        options={"labels_from_data": True},
    ),
    "span": replace(
        BASE, family="span", labels=(), label_values=(),
        fields={name: name for name in ("id", "title", "context", "question", "answers")},
    ),
    "choice": replace(
        BASE, family="choice", labels=(), label_values=(),
        fields={"id": "id", "context": "premise", "choices": ["a", "b"], "label": "label"},
    ),
    "pairs": replace(
        BASE, family="dual", labels=(), label_values=(),
        fields={"id": "id", "text": "text", "text_pair": "text_pair", "candidate": "candidate"},
    ),
    "translations": replace(
        BASE, family="embedding", labels=(), label_values=(), fields={"id": "id", "source": "de", "target": "en"},
    ),
    "pool": replace(BASE, family="dual", labels=(), label_values=(), fields={}),
    "mentions": replace(BASE, family="dual", labels=(), label_values=(), fields={}, adapter="mewslix"),
    "squad pairs": replace(BASE, family="dual", labels=(), label_values=(), fields={}, adapter="lareqa"),
}  # fmt: skip
ANSWERS = {"text": ["Ada"], "answer_start": [0]}
GOOD: dict[str, dict[str, Any]] = {
    "sequence": {"id": "1", "premise": "It rains.", "hypothesis": "It is wet.", "label": 0},
    "tagging": {"id": "1", "tokens": ["boats", "float"], "tags": ["N", "V"]},
    "open tags": {"id": "1", "tokens": ["boats", "float"], "tags": ["N", "V"]},
    "span": {"id": "1", "title": None, "context": "Ada bakes.", "question": "Who?", "answers": ANSWERS},
    "choice": {"id": "1", "premise": "It rains.", "a": "It is wet.", "b": "It is dry.", "label": 0},
    "pairs": {"id": "1", "text": "Who bakes?", "text_pair": None, "candidate": "Ada bakes."},
    "translations": {"id": "1", "de": "Es regnet.", "en": "It rains."},
    "pool": {"id": "1", "role": "query", "text": "Who?", "text_pair": None, "gold": ["2"], "language": None},
    "mentions": {
        "contextual_mention": {
            "context": {"text": "Ada sang.", "sentence_spans": [{"start": 0, "end": 9}]},
            "mention": {"example_id": "1", "mention_span": {"start": 0, "end": 3, "text": "Ada"}},
        },
        "entity": {"description": "A baker.", "sentence_spans": [{"start": 0, "end": 8}]},
    },
    "squad pairs": {"id": "1", "context": "Ada bakes.", "question": "Who?", "answers": ANSWERS},
}
EVALUATED = {"translations": "de", "pool": "en"}  # read for evaluation, in a language; all others for training
OPTIONAL = {
    ("span", "title"),
    ("pairs", "text_pair"),
    ("pool", "text_pair"),
    ("pool", "gold"),
    ("pool", "language"),
    ("squad pairs", "answers"),
}
UNREAD = {"squad pairs": [("answers", "text")]}  # where it starts is all that is needed


def prepare(root: Path, card: TaskCard, rows: list[dict[str, Any]] | str, kind: str = "") -> list[dict[str, Any]]:
    """Prepared rows from JSON Lines; the second line is the one that is put to the test."""
    content = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    language = EVALUATED.get(kind, "en")
    for split in ("train", "dev"):
        path = root / "rows" / f"{split}.{language}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    source, out = LocalSource(root), root / "out.parquet"
    if kind in EVALUATED:
        prepare_eval(card, {}, (language,), ("dev",), source, Evaluation(), out)
    else:
        prepare_train(card, {}, ("en",), source, out, root / "dev.parquet")
    return pq.read_table(out).to_pylist()


def another(row: dict[str, Any], kind: str) -> dict[str, Any]:
    """The same row with an id of its own."""
    copy: dict[str, Any] = json.loads(json.dumps(row))
    if kind == "mentions":
        copy["contextual_mention"]["mention"]["example_id"] = "2"
    else:
        copy["id"] = "2"
    if kind == "pool":
        copy |= {"role": "candidate", "gold": []}
    return copy


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a row, of lists and mappings too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(found for key, item in inner for found in places(item, (*path, key)))]


def put(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(row))
    target = copy
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return dict(copy)


WRONG = {
    "half an emoji": "\ud83d", "NaN": math.nan, "infinity": math.inf, "a fraction": 3.5, "a truth value": True,
    "a mapping": {"a": 0}, "a list of nothing": [None], "nested lists": [[["x"]]], "a huge number": 10**4000,
}  # fmt: skip


@pytest.mark.parametrize("kind", CARDS)
def test_good_rows_pass(tmp_path: Path, kind: str) -> None:
    assert len(prepare(tmp_path, CARDS[kind], [GOOD[kind], another(GOOD[kind], kind)], kind)) >= 2


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", CARDS)
def test_every_field_refuses_every_kind_of_wrong_value_with_file_and_line(
    tmp_path: Path, kind: str, wrong: str
) -> None:
    row = another(GOOD[kind], kind)
    for path in places(row):
        if path[:2] in UNREAD.get(kind, ()) or (wrong == "NaN" and (kind, path[0]) in OPTIONAL):
            continue
        with pytest.raises(RowError) as caught:
            prepare(tmp_path, CARDS[kind], [GOOD[kind], put(row, path, WRONG[wrong])], kind)
        assert caught.value.place.startswith("rows/dev.de" if kind == "translations" else "rows/")
        assert caught.value.place.endswith(" line 2")
        assert "this row or the next" not in caught.value.problem, (path, caught.value.problem)  # a sentence of its own
        assert len(caught.value.problem) < 400
        str(caught.value).encode()
        assert not (tmp_path / "out.parquet").exists()


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
@pytest.mark.parametrize("kind", CARDS)
def test_no_value_anywhere_ends_in_another_error(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
    row = another(GOOD[kind], kind)
    changed = put(row, data.draw(st.sampled_from(places(row))), data.draw(anything))
    try:
        prepare(tmp_path, CARDS[kind], [GOOD[kind], changed], kind)
    except (RowError, SourceError) as error:
        assert "this row or the next" not in str(error)
        str(error).encode()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "2", "premise": "a", "hypothesis": "b", "label": 0, "label": 1}', "key 'label' given twice"),
        ("[" * 20_000 + "]" * 20_000, "nested too deeply"),
        ('{"label": ' + "9" * 5_000 + "}", "a number of thousands of digits"),
        ('[{"label": 0}]', "found a list; write one object a line"),
        ("3", "expected a JSON object, found number 3"),
    ],
)
def test_lines_that_are_no_one_object_are_refused(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(RowError, match=f"^rows/train.en.jsonl line 2: .*{problem}"):
        prepare(tmp_path, BASE, json.dumps(GOOD["sequence"]) + "\n" + line + "\n")


def test_labels_as_pandas_writes_them_are_taken(tmp_path: Path) -> None:
    rows = [{**GOOD["sequence"], "id": number, "label": label} for number, label in enumerate([0.0, 1.0, -1.0, "2.0"])]
    assert [row["label"] for row in prepare(tmp_path, BASE, rows)] == [0, 1, 2]
    frame = pandas.DataFrame([{**row, "label": [0.0, 2.0, -1.0, 1.0][row["id"]]} for row in rows])
    (tmp_path / "rows" / "train.en.jsonl").unlink()
    frame.to_csv(tmp_path / "rows" / "train.en.csv", index=False)
    prepare_train(BASE, {}, ("en",), LocalSource(tmp_path), tmp_path / "out.parquet", tmp_path / "dev.parquet")
    assert [row["label"] for row in pq.read_table(tmp_path / "out.parquet").to_pylist()] == [0, 2, 1]


NO_ANSWER = (
    None,
    {"text": [], "answer_start": []},
    {"text": [""], "answer_start": [-1]},
    {"text": [""], "answer_start": [-1.0]},
    {"text": [None], "answer_start": [None]},
    {"text": None, "answer_start": None},
    {"text": [""], "answer_start": [None]},
    [],
)


@pytest.mark.parametrize("answers", NO_ANSWER)
def test_no_answer_is_taken_where_the_card_allows_it_and_explained_elsewhere(tmp_path: Path, answers: Any) -> None:
    rows = [GOOD["span"], {**GOOD["span"], "id": "2", "answers": answers}]
    allowed = replace(CARDS["span"], options={"null_answers": True})
    assert [row["answer_texts"] for row in prepare(tmp_path, allowed, rows)] == [["Ada"], []]
    with pytest.raises(
        RowError, match=r"line 2: a question without an answer; .*`options: {null_answers: true}`.*\[\]"
    ):
        prepare(tmp_path, CARDS["span"], rows)


@pytest.mark.parametrize(
    "answers", [{"text": [""], "answer_start": [0]}, {"text": ["Ada", ""], "answer_start": [0, -1]}]
)
def test_an_empty_answer_that_has_a_place_is_refused_with_how_to_write_none(tmp_path: Path, answers: Any) -> None:
    allowed = replace(CARDS["span"], options={"null_answers": True})
    with pytest.raises(RowError, match="line 2: field 'answers' holds an empty text; .*write no answer as"):
        prepare(tmp_path, allowed, [GOOD["span"], {**GOOD["span"], "id": "2", "answers": answers}])


def test_an_open_set_of_tags_takes_numbers_and_gives_them_as_text(tmp_path: Path) -> None:
    rows = [GOOD["open tags"], {**GOOD["open tags"], "id": "2", "tags": [7, 8.0]}]
    assert [row["tags"] for row in prepare(tmp_path, CARDS["open tags"], rows)] == [[2, 3], [0, 1]]


def test_an_error_that_nobody_foresaw_names_the_row_too() -> None:
    rows = GuardedRows([RawRow({}, "x.jsonl line 1"), RawRow({}, "x.jsonl line 2")])
    with pytest.raises(RowError, match=r"^x.jsonl line 2: this row or the next cannot be read .ZeroDivisionError: "):
        with rows.errors():
            for row in rows:
                assert row.place.endswith("1") or 1 / 0
    with pytest.raises(StiltgridError, match="^as it is$"):
        with rows.errors():
            raise StiltgridError("as it is")
