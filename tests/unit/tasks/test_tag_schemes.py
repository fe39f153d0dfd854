"""Labels, options and metric of a tagging card fit one another, or the card is refused with what was expected."""

from typing import Any

import pytest
from stiltgrid.tasks.tag_schemes import metrics_of, tagging_problems

BIO = ("O", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("labels", "options", "metric"),
    [
        (BIO, {"scheme": "bio"}, "f1"),
        (BIO, {"scheme": "bio", "chunks": "seqeval-0.0.12"}, "precision"),
        ((*BIO, "B-Legal Entity", "B-a-b-", "I-a-b-", "B-o"), {"scheme": "bio", "chunks": "strict"}, "accuracy"),
        (("O", "B-X", "I-X", "E-X", "S-X"), {"scheme": "bioes"}, "recall"),
        (("NOUN", "o", "b-per"), {"scheme": "plain"}, "macro_f1"),
        (("NOUN",), {"chunks": "seqeval-0.0.12"}, "f1"),
        ((), {"labels_from_data": True}, "accuracy"),
    ],
)
def test_what_fits_is_accepted(labels: tuple[str, ...], options: dict[str, Any], metric: str) -> None:
    assert tagging_problems(labels, options, metric) == []
    assert metric in metrics_of(options)


@pytest.mark.parametrize(
    ("label", "near"),
    [
        ("o", "O"), ("b-per", "B-per"), ("ORGANIZATION", "B-ORGANIZATION"), ("B-", "B-TYPE"), ("B", "B-TYPE"),
        ("BPER", "B-BPER"), ("E-PER", "B-PER"), ("PER-B", "B-B"), ("", "O"), ("Ö", "B-Ö"), ("OTHER", "B-OTHER"),
    ],
)  # fmt: skip
def test_a_label_outside_the_scheme_is_refused_with_the_nearest_form(label: str, near: str) -> None:
    (problem,) = tagging_problems((*BIO, label), {"scheme": "bio"}, "f1")
    assert problem == (f"labels: '{label}' does not fit scheme bio, expected O, B-TYPE, I-TYPE; did you mean '{near}'?")


def test_a_type_that_no_chunk_can_begin_is_refused() -> None:
    assert tagging_problems((*BIO, "I-LOC"), {"scheme": "bio"}, "f1") == [
        "labels: 'I-LOC' is listed without 'B-LOC', with which its chunks begin"
    ]
    closed = ("O", "B-A", "E-A", "E-B", "I-B", "S-C")
    assert len(tagging_problems(closed, {"scheme": "bioes"}, "f1")) == 1


@pytest.mark.parametrize(
    ("labels", "options", "metric", "words"),
    [
        ((), {"scheme": "bio"}, "f1", "labels: must not be empty unless options.labels_from_data"),
        ((), {"labels_from_data": True, "scheme": "bio"}, "accuracy", "labels_from_data: expected scheme plain"),
        ((), {"labels_from_data": True, "chunks": "strict"}, "accuracy", "labels_from_data: expected scheme plain"),
        (("NOUN",), {"chunks": "default"}, "accuracy", "'default' needs scheme bio or bioes, found plain"),
        (("NOUN",), {}, "f1", "metric: scheme plain has accuracy, macro_f1, found 'f1'; chunk F1 needs scheme bio"),
        (
            BIO,
            {"scheme": "bio"},
            "macro_f1",
            "scheme bio has f1, precision, recall, accuracy, found 'macro_f1'",
        ),
    ],
)
def test_options_and_metrics_that_contradict_are_refused(
    labels: tuple[str, ...], options: dict[str, Any], metric: str, words: str
) -> None:
    problems = tagging_problems(labels, options, metric)
    assert any(words in problem for problem in problems), problems
