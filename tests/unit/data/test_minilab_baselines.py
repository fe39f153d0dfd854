"""No task of the mini-lab gives itself away to a trick that understands nothing."""

import pytest
from stiltgrid.data.sources.minilab import MiniLabSource
from stiltgrid.data.sources.minilab.baselines import Baseline, NaiveBayes, all_baselines, retrieval_baseline
from stiltgrid.grid.cards import TaskCard

SOURCE = MiniLabSource({"eval_examples": 500, "train_examples": 3000})
# What may not tell anything: at most this far above chance, about three standard errors of 500 rows.
NEAR = {
    "majority class": 1.0,
    "first text only": 7.0,
    "second text only": 7.0,
    "longest option": 7.0,
    "most like the context": 7.0,
    "options only": 7.0,
    "first sentence": 7.0,
    "never answers": 1.0,
}


@pytest.fixture(scope="module")
def baselines() -> list[Baseline]:
    return all_baselines(SOURCE, 1500)


def test_tricks_are_near_chance(baselines: list[Baseline]) -> None:
    far = [item for item in baselines if item.name in NEAR and item.score > item.chance + NEAR[item.name]]
    assert not far


def test_the_most_frequent_tag_is_far_from_enough(baselines: list[Baseline]) -> None:
    assert all(item.score < 70 for item in baselines if item.name == "most frequent tag")


def test_counting_common_words_does_not_solve_pairs(baselines: list[Baseline]) -> None:
    scores = {item.task: item.score for item in baselines if item.name == "word overlap only"}
    assert max(scores["mnli"], scores["xnli"], scores["anli"]) < 65
    assert max(scores["qqp"], scores["pawsx"]) < 75


@pytest.mark.parametrize("code", ["qac", "qad", "qae", "qaf", "qag", "qah"])
def test_spelling_does_not_retrieve_far_languages(code: str) -> None:
    card = TaskCard("tatoeba", "", "", "", (), "", 0)
    assert retrieval_baseline([row.values for row in SOURCE.read(card, "test", code)]) < 6


def test_naive_bayes_finds_what_is_there() -> None:
    model = NaiveBayes(["red stop", "green go", "red halt"], [0, 1, 0])
    assert model.predict("red") == 0
    assert model.predict("go") == 1
