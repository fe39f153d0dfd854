"""SQuAD v1.1 and v2.0 scores from the scripts' definitions, worked out by hand."""

import pytest
from stiltgrid.tasks.metrics import squad


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The  Harbour-Master's house!", "harbourmasters house"),
        ("a lamp, an oar and the theatre", "lamp oar and theatre"),
        ("  THE ", ""),
        ("老灯塔。", "老灯塔。"),  # only ASCII punctuation goes
        ("der Hafen", "der hafen"),  # only English articles go
    ],
)
def test_normalise(answer, normal):
    assert squad.normalise(answer) == normal


def test_f1_of_bags_of_words():
    # gold: cat sat on mat (4), prediction: cat sat cat (3), common: cat, sat
    assert squad.f1("the cat sat on the mat", "cat sat, cat") == pytest.approx(2 * 2 / 7)
    assert squad.f1("white boats", "blue boat") == 0


def test_chinese_and_thai_words_count_whole():
    assert squad.f1("老灯塔和港口", "老灯塔") == 0
    assert squad.score_answer(["老灯塔"], "老灯塔") == (1, 1)


def test_best_reference_counts_for_each_score():
    assert squad.score_answer(["blue boats", "the old blue boats"], "Old, blue boats") == (1, 1)
    f1, exact = squad.score_answer(["blue boats", "boats at sea"], "boats")
    assert (f1, exact) == (pytest.approx(2 / 3), 0)
    with pytest.raises(ValueError, match="reference"):
        squad.score_answer([], "boats")


def test_versions_differ_on_texts_that_normalise_to_nothing():
    assert squad.score_answer(["the"], "a") == (0, 1)  # v1.1: no common word, but equal
    assert squad.score_answer_or_none(["the"], "a") == (1, 1)  # v2.0: both mean "no answer"


def test_no_answer_is_right_or_wrong_as_a_whole():
    assert squad.score_answer_or_none([], "") == (1, 1)
    assert squad.score_answer_or_none([], "boats") == (0, 0)
    assert squad.score_answer_or_none(["boats"], "") == (0, 0)
    assert squad.score_answer_or_none(["blue boats"], "boats") == (pytest.approx(2 / 3), 0)


def test_best_threshold_follows_the_script():
    # By margin: +0.8 (answerable), -1 (not), +0.5 (answerable), -1 (not), from 2 for answering none
    best = squad.best_threshold(
        scores=[0.5, 0.8, 0, 0],
        answered=[True, True, True, True],
        answerable=[True, True, False, False],
        null_margins=[0, -3, -1, 2],
    )
    assert best == squad.BestThreshold(pytest.approx(2.8 / 4), -3)


def test_best_threshold_may_answer_nothing_and_empty_answers_cost_nothing():
    assert squad.best_threshold([0, 0], [True, True], [True, False], [-1, -2]) == squad.BestThreshold(0.5, 0)
    best = squad.best_threshold([0, 1], [False, True], [False, True], [-2, -1])
    assert best == squad.BestThreshold(1, -1)
