"""Recipes of the configuration: what rows train on, which recipes are refused, and how examples are drawn."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from stiltgrid.config.loading import load_grid
from stiltgrid.grid.grid import Grid, Recipe
from stiltgrid.grid.params import as_params
from stiltgrid.grid.recipes import row_settings, task_settings, text_name, texts, variant_of, variants
from stiltgrid.preparation.budgets import draw_budget, refuse_shortfall, share_budget
from stiltgrid.utils.errors import ConfigError, SourceError

ROOT = Path(__file__).parents[3]
PRETRAIN: dict[str, Any] = {
    "languages": ["en", "qaa"],
    "tokenizer": {"algorithm": "bpe", "vocabulary": 300, "pre_tokenizer": "metaspace"},
    "architecture": {"model_type": "xlm-roberta", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
    "sequence_length": 64,
    "steps": 5,
    "tokens_per_step": 512,
}
MLM = {"languages": ["en", "qab"], "rate": 0.5}
MIX = {"tasks": ["mnli", "qqp"], "sampling": "uniform"}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def config(rows: list[str], recipes: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "source": "minilab",
        "world": {"languages": ["en", "qaa", "qab"]},
        "models": {"tiny": {"pretrain": PRETRAIN}},
        "intermediates": rows,
        "targets": ["tatoeba"],
        "seeds": [1],
        "recipes": dict(recipes),
        **more,
    }


def grid_of(rows: list[str], recipes: Mapping[str, Any], **more: Any) -> Grid:
    return load_grid(config(["none", *rows], recipes, **more), ROOT)


def problem(rows: list[str], recipes: Mapping[str, Any], **more: Any) -> str:
    """The one problem that a configuration has."""
    with pytest.raises(ConfigError) as caught:
        grid_of(rows, recipes, **more)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


def in_mirror(**more: Any) -> dict[str, Any]:
    model = {"tiny": {"pretrain": {**PRETRAIN, "languages": ["en", "de"]}}}
    narrow = {"tasks": {"tatoeba": {"languages": ["de"]}}}
    return {"source": "local", "data_dir": "tests/data/mirror", "world": {}, "models": model, **narrow, **more}


# ---- what they become --------------------------------------------------------------------------------------------


def test_a_plain_mixture_passes_what_it_always_did_so_that_no_job_runs_again() -> None:
    recipe = grid_of(["mix"], {"mix": MIX}).recipe("mix")
    assert as_params(recipe) == {
        "cap": None, "examples": None, "name": "mix", "sampling": "uniform", "tasks": ["mnli", "qqp"],
        "temperature": 1.0,
    }  # fmt: skip


def test_a_template_makes_a_row_of_any_row() -> None:
    grid = grid_of(["mnli+mlm", "mix+mlm"], {"{row}+mlm": {"like": "{row}", "mlm": MLM}, "mix": MIX})
    assert grid.recipe("mnli+mlm") == Recipe("mnli+mlm", ("mnli",), mlm=MLM)
    assert grid.recipe("mix+mlm") == Recipe("mix+mlm", ("mnli", "qqp"), "uniform", mlm=MLM)
    assert texts(grid) == {"raw+en-qab": MLM}, "rows with one text share it"


def test_the_first_of_an_ordered_list() -> None:
    recipes = {"all": {"tasks": ["qqp", "mnli", "copa"], "cap": 9}, "best": {"like": "all", "top": 2}}
    grid = grid_of(["all", "best"], recipes)
    assert grid.recipe("best") == Recipe("best", ("qqp", "mnli"), cap=9)


def test_chains_share_their_beginnings() -> None:
    recipes = {
        "abc": {"sequence": ["mnli", "qqp", "copa"]},
        "other": {"sequence": ["mnli", "qqp", "mix"]},
        "nested": {"sequence": ["pair", "ccg"]},
        "pair": {"sequence": ["snli", "squad_v1"]},
        "mix": MIX,
    }
    grid = grid_of(["abc", "other", "nested"], recipes)
    assert grid.chain("abc") == ("mnli", "mnli.then.qqp", "abc")
    assert grid.chain("other") == ("mnli", "mnli.then.qqp", "other")
    assert grid.recipe("other") == Recipe("other", ("mnli", "qqp"), "uniform", after="mnli.then.qqp", base="mix")
    assert grid.chain("nested") == ("snli", "pair", "nested"), "a beginning that has a name keeps it"
    assert grid.all_intermediates == (
        "none", "abc", "other", "nested", "mnli", "mnli.then.qqp", "snli", "pair",
    )  # fmt: skip
    assert set(grid.trained_tasks()) == {"mnli", "qqp", "copa", "snli", "squad_v1", "ccg"}


def test_a_step_of_a_chain_is_trained_as_the_row_that_it_is() -> None:
    training = {
        "all": {"learning_rate": 0.1, "batch_size": 4},
        "tasks": {
            "qqp": {"intermediate": {"learning_rate": 0.2}},
            "mix": {"intermediate": {"epochs": 7}},
            "chain": {"intermediate": {"batch_size": 8}},
        },
    }
    recipes = {"mix": MIX, "chain": {"sequence": ["mnli", "mix"]}}
    grid = grid_of(["mix", "chain"], recipes, training=training)
    own = task_settings(grid, "chain", "qqp")
    assert (own.learning_rate, own.epochs, own.batch_size) == (0.2, 7, 8)
    assert row_settings(grid, "mix").epochs == 7 and row_settings(grid, "mix").batch_size == 4
    assert task_settings(grid, "mix", "mnli").learning_rate == 0.1


def test_a_budget_of_a_recipe_counts_from_all_examples() -> None:
    training = {"all": {"examples": 50}}
    recipes = {"some": {"like": "mix", "examples": {"qqp": 80}}, "mix": MIX}
    grid = grid_of(["some", "mix"], recipes, training=training)
    assert task_settings(grid, "some", "qqp").examples is None
    assert task_settings(grid, "some", "mnli").examples == task_settings(grid, "mix", "qqp").examples == 50


def test_languages_and_versions_name_the_rows_that_are_read() -> None:
    recipes = {
        "german": {"tasks": ["tydiqa"], "languages": ["sw", "en"]},
        "plain": {"tasks": ["tydiqa"], "languages": ["en"]},
    }
    grid = grid_of(["german", "plain"], recipes, **in_mirror())
    assert variant_of(grid, "german", "tydiqa").name == "tydiqa+original+en-sw"
    assert variant_of(grid, "plain", "tydiqa").name == "tydiqa", "what the card reads anyway is prepared once"
    assert list(variants(grid)) == ["tydiqa+original+en-sw"]


def test_every_task_of_the_mini_lab_is_in_every_language() -> None:
    recipes = {"far": {"like": "mix", "languages": ["qaa", "qab"], "data": "translate_train"}, "mix": MIX}
    assert set(variants(grid_of(["far"], recipes))) == {"mnli+original+qaa-qab", "qqp+original+qaa-qab"}


def test_names_of_many_languages_stay_short() -> None:
    languages = [f"{first}{second}" for first in "abcd" for second in "abcdef"]
    assert len(text_name({"languages": languages})) < 40
    assert text_name({"languages": languages}) != text_name({"languages": languages[1:]})


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipes", "sentence"),
    [
        ({"a": {"tasks": ["mnlli"]}}, "recipes.a.tasks: no such task 'mnlli', did you mean 'mnli'?"),
        ({"a": {"like": "mnlli"}}, "recipes.a.like: no task or recipe 'mnlli', did you mean 'mnli'?"),
        ({"a": {"sequence": ["mnli", "qqqp"]}}, "recipes.a.sequence: no task or recipe 'qqqp', did you mean 'qqp'?"),
        ({"a": {"sequence": ["mnli", "none"]}}, "'none' is not a step"),
        ({"a": {"sequence": ["mnli", "a"]}}, "recipes.a: goes in a circle: a -> a"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "goes in a circle: a -> b -> a"),
        ({"a": {"like": "mnli+"}, "{row}x": {"like": "{row}xx"}}, "no task or recipe 'mnli+'"),
        ({"a": {"like": "mnlix"}, "{row}x": {"like": "{row}xx"}}, "recipes.a: goes through more than 50 recipes"),
        ({"a": {"like": "mnli+qqp"}, "{row}+{row}": {"like": "{row}"}}, "no task or recipe 'mnli+qqp'"),
        ({"a": {"sequence": ["mnli", "qqp"], "cap": 3}}, "recipes.a.cap: a chain has no other key"),
        ({"a": {"tasks": ["mnli"], "top": 2}}, "recipes.a.top: expected at most 1"),
        ({"a": {"tasks": ["mnli"], "examples": {"qqp": 3}}}, "recipes.a.examples: 'qqp' is not among its tasks"),
        ({"a": {"tasks": ["mnli"], "languages": {"qqp": ["en"]}}}, "'qqp' is not among its tasks"),
        ({"a": {"tasks": ["mnli"], "data": "translate_train"}}, "recipes.a: data: has no effect without `languages`"),
        ({"a": {"tasks": ["mnli"], "upsample": True}}, "upsample: has no effect without `examples`"),
        ({"a": {"tasks": []}}, "expected tasks, mlm, like or sequence"),
        ({"a": {"tasks": [], "mlm": MLM}}, "mlm.rate: is a share of steps beside tasks"),
        ({"a": {"tasks": ["mnli"], "mlm": {"languages": ["en"]}}}, "expected one of rate and steps, found neither"),
        ({"a": {"tasks": ["mnli"], "mlm": {**MLM, "languages": ["de"]}}}, "mlm.languages: no raw text of de"),
        ({"a": {"tasks": ["mnli"], "languages": ["en", "de"]}}, "'mnli' has no training data in de in source"),
        ({"a": {"tasks": ["mnli"], "examples": 6001}}, "examples: 6001 asked of 'mnli', 6000 exist"),
        ({"a": {"tasks": ["mnli", "qqp"], "examples": {"mnli": 7000}}}, "7000 asked of 'mnli', 6000 exist"),
        ({"a": {"tasks": ["xquad"]}}, "has no training data"),
        ({"a": {"tasks": ["mnli", "mnli"]}}, "recipes.a.tasks: given twice: mnli"),
    ],
)
def test_bad_recipes_are_refused_with_one_sentence(recipes: Mapping[str, Any], sentence: str) -> None:
    assert sentence in problem(["a"] if "a" in recipes else [], recipes)


def test_duplicate_seeds_are_refused() -> None:
    assert problem(["mnli"], {}, seeds=[1, 2, 1]) == "config: seeds: given twice: 1"


def test_a_layer_that_the_model_does_not_have_is_refused() -> None:
    models = {"tiny": {"pretrain": PRETRAIN, "retrieval_layer": 3}}
    assert "retrieval_layer: expected 0 to 2" in problem(["mnli"], {}, models=models)


def test_a_language_that_a_version_lacks_is_reported_with_those_it_has() -> None:
    recipes = {"a": {"tasks": ["tydiqa"], "languages": ["en", "sw", "te"]}}
    found = problem(["a"], recipes, **in_mirror())
    assert found.endswith("it has original: en, sw")
    assert found.startswith("intermediate 'a': 'tydiqa' has no training data in te in source 'local'; it has ")


def test_repeating_examples_must_be_asked_for() -> None:
    grid_of(["a"], {"a": {"tasks": ["mnli"], "examples": 6001, "upsample": True}})


def model_in(place: str, tmp_path: Path, config: str) -> dict[str, Any]:
    """Settings with a model without a mask, in a folder of its own or in a mirror."""
    folder = tmp_path / "models/mine"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config)
    (folder / "tokenizer_config.json").write_text('{"pad_token": "[PAD]"}')
    (folder / "vocab.txt").write_text("[PAD]\n")
    save_file({"a": np.zeros(2)}, folder / "model.safetensors")
    if place == "path":
        return {"models": {"mine": {"path": str(folder)}}}
    shutil.copytree(ROOT / "tests/data/mirror", tmp_path, dirs_exist_ok=True)
    entry = {"folder": "models/mine", "revision": "a" * 40, "commit": "a" * 40}
    (tmp_path / "mirror.json").write_text(json.dumps({"models": {"made/mine": entry}}))
    return in_mirror(data_dir=str(tmp_path), models={"mine": {"hub": "made/mine", "revision": "a" * 40}})


@pytest.mark.parametrize("place", ["path", "mirror"])
def test_language_modelling_is_refused_for_a_tokenizer_without_a_mask(place: str, tmp_path: Path) -> None:
    recipe = {"a": {"tasks": ["mnli"], "mlm": {"languages": ["en"], "rate": 0.5}}}
    found = problem(["a"], recipe, **model_in(place, tmp_path, '{"model_type": "bert", "num_hidden_layers": 2}'))
    assert "recipes.a.mlm: model 'mine' has a tokenizer without a mask token" in found
    grid_of(["a"], recipe, **model_in(place, tmp_path, '{"model_type": "gpt2", "n_layer": 2}'))
    found = problem(["a"], recipe, **model_in(place, tmp_path, '{"model_type": "mt5", "is_encoder_decoder": true}'))
    assert "is the encoder of an encoder-decoder" in found
    found = problem(["a"], recipe, **model_in(place, tmp_path, '{"model_type": "vit"}'))
    assert "recipes.a.mlm: model 'mine' is of type 'vit', which has no language model in transformers" in found


# ---- examples ----------------------------------------------------------------------------------------------------


def test_a_budget_by_task_and_with_repetition() -> None:
    each = Recipe("m", ("a", "b"), examples={"b": 3})
    assert share_budget([10, 20], each) == [10, 3]
    more = Recipe("m", ("a", "b"), sampling="uniform", examples=101, upsample=True)
    assert share_budget([10, 20], more) == [51, 50]


def test_more_examples_than_there_are_stop_the_first_job() -> None:
    recipe = Recipe("m", ("a", "b"), examples=31, upsample=False)
    with pytest.raises(SourceError, match="row 'm': examples: 31 asked of its tasks, 30 exist"):
        refuse_shortfall(recipe, {"a": 10, "b": 20})
    refuse_shortfall(recipe, {"a": 11, "b": 20})
    refuse_shortfall(Recipe("m", ("a", "b"), examples=31), {"a": 10, "b": 20})


def test_draws_follow_the_seed_and_grow_without_exchanging_examples() -> None:
    pool = np.arange(100, 140)
    small, large = draw_budget(pool, 10, 1, "a"), draw_budget(pool, 25, 1, "a")
    assert set(small) < set(large) and list(small) == sorted(set(small))
    assert list(small) == list(draw_budget(pool, 10, 1, "a")) != list(draw_budget(pool, 10, 2, "a"))
    counts = np.unique(draw_budget(pool, 100, 1, "a"), return_counts=True)[1]
    assert sorted(set(counts)) == [2, 3] and counts.sum() == 100
