"""Grid, cards and settings as plain data."""

import json
from dataclasses import dataclass, field

import pytest
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation, Grid, Model, Recipe, TrainingSettings
from stiltgrid.grid.params import QUIET, as_params, from_params


def card(name: str, **more: object) -> TaskCard:
    values = {
        "family": "sequence",
        "about": "",
        "citation": "",
        "languages": ("en",),
        "metric": "accuracy",
        "max_length": 64,
    }
    return TaskCard(name=name, **{**values, **more})  # type: ignore[arg-type]


CARDS = {
    "a": card("a", train=("a",), local={"folder": "a", "splits": {"train": "train", "dev": "dev"}}),
    "b": card("b", train=("b",), rows={"train": ("a", "c"), "dev": ("a",)}),
    "c": card("c", train=("c",), local={"folder": "c", "splits": {"train": "x", "dev": "y", "test": "z"}}),
    "xx": card("xx", train=("a", "c"), hub={"splits": {"test": "validation"}}, languages=("en", "de")),
    "read": card("read", family="embedding", languages=("de",), local={"folder": "r", "splits": {"test": "t"}}),
}
GRID = Grid(
    source="local",
    data_dir="data",
    world={},
    models={"tiny": Model("tiny", path="somewhere")},
    intermediates=("none", "b", "mixed"),
    targets=("xx", "read"),
    seeds=(1, 2),
    recipes={"mixed": Recipe("mixed", tasks=("a", "c"), sampling="uniform")},
    cards=CARDS,
    training={
        "all": {"learning_rate": 1e-3, "epochs": 1},
        "target": {"epochs": 2},
        "tasks": {"a": {"all": {"batch_size": 8}, "target": {"epochs": 5}}},
    },
    evaluation={"examples": 100, "tasks": {"read": {"examples": None}}},
)


def test_recipe_of_a_row() -> None:
    assert GRID.recipe("none").tasks == ()
    assert GRID.recipe("b").tasks == ("b",)
    assert GRID.recipe("mixed").sampling == "uniform"


def test_specific_training_settings_override_general_ones() -> None:
    settings = GRID.training_for("target", "a")
    assert (settings.learning_rate, settings.batch_size, settings.epochs) == (1e-3, 8, 5)
    assert GRID.training_for("intermediate", "a").epochs == 1
    assert GRID.training_for("target", "c").batch_size == TrainingSettings().batch_size


def test_evaluation_settings_of_a_target_override_the_common_ones() -> None:
    assert GRID.evaluation_for("xx") == Evaluation(examples=100)
    assert GRID.evaluation_for("read").examples is None


def test_trained_tasks_are_those_of_rows_and_columns() -> None:
    assert GRID.trained_tasks() == ("a", "b", "c")


def test_tuned_models_are_named_by_their_stages() -> None:
    assert CARDS["xx"].tuned == "a+c" and CARDS["read"].tuned is None


def test_origin_cards_are_the_borrowed_ones() -> None:
    assert set(GRID.origin_cards("b")) == {"a", "c"}
    assert GRID.origin_cards("a") == {}


def test_splits_by_source() -> None:
    assert CARDS["c"].splits("local") == ("train", "dev", "test")
    assert CARDS["c"].splits("hub") == ("train", "dev", "test"), "what is not on the hub is the user's own"
    assert card("d", hub={"splits": {"test": "t"}}, local={"splits": {"dev": "d"}}).splits("hub") == ("test",)
    assert CARDS["xx"].splits("minilab") == ("test",), "the mini-lab has the splits of the real data set"
    assert card("d", minilab={"splits": {"dev": None}}, hub={"splits": {"test": "t"}}).splits("minilab") == ("dev",)


def test_training_pairs_of_an_adapter_are_not_scored() -> None:
    assert CARDS["b"].scored_splits("local") == ("dev",)
    borrowed = card("e", adapter="lareqa", rows={"dev": ("a",)}, local={"folder": "e", "splits": {"test": "t"}})
    assert borrowed.scored_splits("local") == ("test",)
    assert GRID.eval_splits("read") == ("test",) and GRID.headline_split("read") == "test"


@pytest.mark.parametrize(("wish", "headline"), [(None, "test"), ("dev", "dev")])
def test_headline_split(wish: str | None, headline: str) -> None:
    both = card("f", headline_split=wish, local={"folder": "f", "splits": {"dev": "d", "test": "t"}})
    assert both.headline("local") == headline


def test_params_are_plain_sorted_and_come_back() -> None:
    params = as_params(CARDS["b"])
    assert json.loads(json.dumps(params)) == params
    assert list(params) == sorted(params)
    assert from_params(TaskCard, params) == CARDS["b"]
    assert from_params(TrainingSettings, as_params(TrainingSettings(epochs=2))) == TrainingSettings(epochs=2)


def test_a_quiet_field_is_in_params_only_if_it_is_set():
    @dataclass(frozen=True)
    class Settings:
        epochs: float = 1.0
        later: int | None = field(default=None, metadata=QUIET)

    assert as_params(Settings()) == {"epochs": 1.0}
    assert as_params(Settings(later=3)) == {"epochs": 1.0, "later": 3}
    assert from_params(Settings, as_params(Settings())) == Settings()
