"""Recipes and models that cannot work are refused when the configuration is loaded."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from configurations import PRETRAIN, ROOT, changed, load, only, problems
from safetensors.torch import save_file

pytestmark = pytest.mark.usefixtures("at_the_root")


def test_recipes() -> None:
    recipes = {"mixed": {"tasks": ["mnli", "squad_v1"], "sampling": "temperature", "temperature": 2}}
    assert load(changed(recipes=recipes, intermediates=["none", "mixed"])).recipe("mixed").tasks == ("mnli", "squad_v1")
    assert "recipes.mixed.tasks: no such task 'mnly', did you mean 'mnli'?" in only(
        changed(recipes={"mixed": {"tasks": ["mnly"]}})
    )
    assert "recipes.mnli: this is a task's name" in only(changed(recipes={"mnli": {"tasks": ["mnli"]}}))
    assert "other than none" in only(changed(recipes={"none": {"tasks": ["mnli"]}}))
    assert "temperature: has no effect" in only(changed(recipes={"m": {"tasks": ["mnli"], "temperature": 3}}))


def test_a_grid_without_none_is_allowed_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(changed(intermediates=["mnli"]))
    assert "'none' is absent, so the tables show scores but no gains" in caplog.text


def test_a_model_like_another_states_what_differs() -> None:
    twin = {
        "like": "tiny",
        "pooling": "last",
        "pretrain": {"objective": "causal", "architecture": {"is_decoder": True}},
    }
    models = load(changed(models={"tiny": {"pretrain": {**PRETRAIN, "seed": 3}}, "twin": twin})).models
    architecture = {**PRETRAIN["architecture"], "is_decoder": True}
    assert models["twin"].pretrain == {**PRETRAIN, "seed": 3, "objective": "causal", "architecture": architecture}
    assert models["tiny"].pretrain == {**PRETRAIN, "seed": 3} and models["twin"].pooling == "last"


def test_like_must_name_a_model_of_the_configuration() -> None:
    tiny = {"pretrain": PRETRAIN}
    assert "config: models.twin.like: 'tyny' is no model, did you mean 'tiny'?" in only(
        changed(models={"tiny": tiny, "twin": {"like": "tyny"}})
    )
    assert "config: models.b.like: 'a' is itself like 'tiny', name that one" in only(
        changed(models={"tiny": tiny, "a": {"like": "tiny"}, "b": {"like": "a"}})
    )
    found = problems(changed(models={"a": {"like": "b"}, "b": {"like": "c"}, "c": {"like": "b"}, "d": {"like": "d"}}))
    assert "config: models.a.like: goes in a circle: b -> c -> b" in found
    assert "config: models.d.like: goes in a circle: d -> d" in found


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"retrieval_layer": 3}, "retrieval_layer: expected 0 to 2, the layers of this model, found 3"),
        ({"pooling": "cls"}, "pooling: cls takes the first token"),
        ({"retrieval_pooling": "cls"}, "retrieval_pooling: cls takes the first token"),
    ],
)
@pytest.mark.parametrize("place", ["path", "mirror", "pretrain"])
def test_settings_that_contradict_config_json(model: dict[str, Any], sentence: str, place: str, tmp_path: Path) -> None:
    """Read where the model is: in its folder, in a mirror, or in the configuration itself."""
    folder = tmp_path / "models/decoder"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "gpt2", "n_layer": 2, "n_head": 2}')
    (folder / "tokenizer.json").write_text("{}")
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    sections: dict[str, Any] = {
        "path": {"path": str(folder)},
        "mirror": {"hub": "made/decoder", "revision": "a" * 40},
        "pretrain": {"pretrain": {**PRETRAIN, "objective": "causal"}},
    }
    config = changed(models={"m": {**sections[place], **model}})
    if place == "mirror":
        shutil.copytree(ROOT / "tests/data/mirror", tmp_path, dirs_exist_ok=True)
        entry = {"folder": "models/decoder", "revision": "x", "commit": "y"}
        (tmp_path / "mirror.json").write_text(json.dumps({"models": {"made/decoder": entry}}))
        config["data_dir"] = str(tmp_path)
    assert f"config: models.m: {sentence}" in only(config)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lora": {"rank": 4}, "optimizer": "muon"}, "lora: expected optimizer adamw, found muon"),
        ({"lora": {"rank": 4}, "freeze": "embeddings"}, "freeze: has no effect beside lora"),
    ],
)
def test_settings_that_cancel_each_other_are_refused(settings: dict[str, Any], sentence: str) -> None:
    found = only(changed(training={"tasks": {"mnli": {"target": settings}}}))
    assert f"config: training: target stage of 'mnli': {sentence}" in found


@pytest.mark.parametrize(
    ("lora", "sentence"),
    [
        ({"alpha": 3}, "training.all.lora: key 'rank' is missing"),
        ({"rank": 0}, "training.all.lora.rank: expected at least 1, found 0"),
        ({"rank": 4, "dropuot": 0.1}, "unknown key 'dropuot', did you mean 'dropout'?"),
    ],
)
def test_adapters_are_described_in_full(lora: dict[str, Any], sentence: str) -> None:
    assert sentence in only(changed(training={"all": {"lora": lora}}))
    whole = {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": "all-linear"}
    settings = load(changed(training={"all": {"lora": whole}, "target": {"lora": None}}))
    assert settings.training_for("target", "mnli").lora is None
    assert settings.training_for("intermediate", "mnli").lora == {**whole, "targets": ["all-linear"]}


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({}, "expected exactly one of hub, path and pretrain, found none of them"),
        (
            {"hub": "a/b", "revision": "c" * 40, "path": "d"},
            "expected exactly one of hub, path and pretrain, found hub and path",
        ),
        ({"hub": "xlm-roberta-large"}, "revision: 'xlm-roberta-large' must be pinned to a commit"),
        ({"path": "no/such/folder"}, "path: expected a model folder, found nothing at no/such/folder"),
        ({"hub": "a/b", "revision": "main"}, "revision: expected a commit, 40 digits of 0-9 and a-f"),
    ],
)
def test_where_a_model_comes_from(model: dict[str, Any], sentence: str) -> None:
    assert f"config: models.m: {sentence}" in only(changed(models={"m": model}))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"architecture": {**PRETRAIN["architecture"], "num_attention_heads": 3}},
            "hidden_size 32 is not a multiple of num_attention_heads 3",
        ),
        (
            {"sequence_length": 129},
            "sequence_length: expected at most 128, what the architecture's positions allow; found 129",
        ),
        (
            {"architecture": {**PRETRAIN["architecture"], "model_type": "gpt2"}},
            "'gpt2' has no masked language model; expected causal, found masked",
        ),
        ({"tokens_per_step": 64}, "tokens_per_step: expected at least sequence_length 128, found 64"),
        ({"short_length": 48}, "short_length: expected a whole part of sequence_length 128, found 48"),
        ({"mask_rate": 1}, "mask_rate: expected less than 1, found 1"),
        ({"languages": ["en", "fr"]}, "no raw text of fr in source 'local'"),
    ],
)
def test_pretraining_that_cannot_work(change: dict[str, Any], sentence: str) -> None:
    assert sentence in only(changed(models={"m": {"pretrain": {**PRETRAIN, **change}}}))


def test_sequences_longer_than_a_model_reads_are_reported_once_with_both_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        load(changed(training={"all": {"max_length": 4096}}))
    (remark,) = [record.getMessage() for record in caplog.records if "max_length" in record.getMessage()]
    assert remark.startswith("models.tiny: reads 128 tokens at most; max_length is up to 4096 (anli_plus, ")
    caplog.clear()
    load(changed(training={"all": {"max_length": 128}}))
    assert "max_length" not in caplog.text


def test_a_batch_larger_than_its_examples_is_reported_with_both_numbers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(changed(training={"tasks": {"mnli": {"target": {"batch_size": 64, "examples": 40}}}}))
    assert "training: target stage of 'mnli': batch_size 64 is larger than its 40 examples" in caplog.text


def test_a_damaged_list_of_a_mirror_s_models_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests/data/mirror", tmp_path, dirs_exist_ok=True)
    model = {"m": {"hub": "made/decoder", "revision": "a" * 40}}
    for content in ("[", "[]", '{"models": []}', '{"models": {"made/decoder": 3}}', '{"models": {"made/decoder": {}}}'):
        (tmp_path / "mirror.json").write_text(content)
        found = only(changed(models=model, data_dir=str(tmp_path)))
        assert found.startswith(f"config: models.m: {tmp_path / 'mirror.json'}: "), content
