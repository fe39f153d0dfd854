"""Bad input is refused before any work, all of it at once, in sentences that help."""

import copy
import logging
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config
from stiltgrid.cards import Grid, Model
from stiltgrid.door import load_grid, read_yaml
from stiltgrid.errors import ConfigError
from stiltgrid.language_modelling import PretrainSettings
from stiltgrid.sources.minilab.settings import world_settings

ROOT = Path(__file__).parents[2]
PRETRAIN: dict[str, Any] = {
    "languages": ["en", "de"],
    "tokenizer": {"algorithm": "bpe", "vocabulary": 300, "pre_tokenizer": "metaspace"},
    "architecture": {
        "model_type": "xlm-roberta", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 130,
    },
    "sequence_length": 128,
    "steps": 5,
    "tokens_per_step": 512,
}  # fmt: skip
GOOD: dict[str, Any] = {
    "source": "local",
    "data_dir": "tests/data/mirror",
    "models": {"tiny": {"pretrain": PRETRAIN}},
    "intermediates": ["none", "mnli", "anli_plus", "squad_v1", "ccg"],
    "targets": ["xnli", "xquad", "tatoeba", "lareqa", "mewslix", "xcopa"],
    "seeds": [1, 2],
    "tasks": {
        "xnli": {"languages": ["en", "de", "sw", "zh"]},
        "xquad": {"languages": ["en", "de", "zh"]},
        "tatoeba": {"languages": ["de", "sw", "zh"]},
        "lareqa": {"languages": ["en", "de", "zh"]},
        "mewslix": {"languages": ["en", "de"]},
        "xcopa": {"languages": ["sw", "zh"]},
    },
    "training": {"all": {"max_steps": 3}, "tasks": {"mnli": {"target": {"epochs": 1}}}},
}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start from the root, where Snakemake runs."""
    monkeypatch.chdir(ROOT)


def changed(**changes: Any) -> dict[str, Any]:
    """The good configuration with top-level keys replaced."""
    return {**copy.deepcopy(GOOD), **changes}


def with_tasks(**overlays: Any) -> dict[str, Any]:
    return changed(tasks={**GOOD["tasks"], **overlays})


def load(config: Mapping[str, Any], files: tuple[Path, ...] = ()) -> Grid:
    return load_grid(config, ROOT, files)


def problems(config: Mapping[str, Any], files: tuple[Path, ...] = ()) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(config, files)
    return caught.value.problems


def only(config: Mapping[str, Any]) -> str:
    """The one problem that a configuration has."""
    found = problems(config)
    assert len(found) == 1, found
    return found[0]


# ---- what is good ----------------------------------------------------------------------------------------------


def test_a_sound_configuration_becomes_a_grid() -> None:
    grid = load(GOOD)
    assert grid.languages("xnli") == ("en", "de", "sw", "zh")
    assert grid.eval_splits("xquad") == ("test",) and grid.headline_split("xnli") == "test"
    assert grid.seeds == (1, 2) and grid.training_for("target", "mnli").max_steps == 3
    assert grid.trained_tasks() == (
        "anli_plus", "ccg", "copa", "lareqa", "mewslix", "mnli", "social_i_qa", "squad_v1",
    )  # fmt: skip


def test_the_shipped_configuration_is_sound() -> None:
    load(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")), (ROOT / "config.yaml",))


def test_parsing_is_quick_and_light() -> None:
    """Every job of a run parses the workflow again: a second here is minutes over a grid."""
    code = (
        "import sys, yaml; from pathlib import Path; from stiltgrid.door import load_grid\n"
        f"load_grid({GOOD!r}, Path({str(ROOT)!r}))\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'pyarrow', 'scipy', 'matplotlib', 'numpy'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    path = str(ROOT / "workflow_scripts")
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_a_new_task_needs_a_card_and_nothing_else(tmp_path: Path) -> None:
    for folder in ("tasks", "schemas"):
        (tmp_path / folder).mkdir()
        for file in (ROOT / folder).iterdir():
            (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    card = (ROOT / "tasks/qqp.yaml").read_text(encoding="utf-8").replace("[qqp]", "[quora]")
    (tmp_path / "tasks/quora.yaml").write_text(card, encoding="utf-8")
    config = changed(data_dir=str(ROOT / "tests/data/mirror"), intermediates=["none", "quora"])
    assert "quora" in load_grid(config, tmp_path).trained_tasks()


def test_minilab_gives_every_card_the_languages_of_the_world() -> None:
    config = {**changed(source="minilab", data_dir=None, tasks={}, intermediates=["none"], targets=["xnli", "tatoeba"])}
    config["models"] = {"mini": {"pretrain": {**PRETRAIN, "languages": ["en", "qaa"]}}}
    grid = load(config)
    assert grid.languages("xnli")[:2] == ("en", "qaa") and len(grid.languages("xnli")) == 9
    assert "en" not in grid.languages("tatoeba"), "English is the other side of every pair"
    world = {"languages": ["en", "qzz"], "scale": -1, "size": 3}
    found = problems({**config, "world": world})
    assert any(item.startswith("config: world.languages: unknown language 'qzz'") for item in found)
    assert "config: world.scale: expected more than 0, found -1" in found
    assert any(item.startswith("config: world: unknown key 'size'") for item in found)
    assert "no 'de', " in problems({**config, "tasks": {"xnli": {"languages": ["en", "de"]}}})[0]


# ---- names -----------------------------------------------------------------------------------------------------


def test_unknown_names_come_with_the_nearest() -> None:
    found = problems(changed(targets=["xnly"], intermediates=["none", "mnlii"]))
    assert "config: targets: no such task 'xnly', did you mean 'xnli'?" in found
    assert "config: intermediates: no task or recipe 'mnlii', did you mean 'mnli'?" in found
    assert only(changed(source="locl")).startswith("config: source: 'locl' is unknown; did you mean 'local'?")
    assert "config: tasks.xnly: no such task, did you mean 'xnli'?" in problems(with_tasks(xnly={"max_length": 64}))
    assert "training.tasks: no such task 'mnly'" in only(changed(training={"tasks": {"mnly": {"all": {"epochs": 1}}}}))
    assert "evaluation.tasks: no such task 'mnly'" in only(changed(evaluation={"tasks": {"mnly": {"examples": 1}}}))


def test_unknown_keys_come_with_the_nearest() -> None:
    assert only(changed(target=["xnli"])) == "config: unknown key 'target', did you mean 'targets'?"
    wrong = changed(training={"all": {"learning_rat": 0.1}})
    assert only(wrong) == "config: training.all: unknown key 'learning_rat', did you mean 'learning_rate'?"
    wrong = changed(models={"tiny": {"pretrain": PRETRAIN, "pool": "mean"}})
    assert only(wrong) == "config: models.tiny: unknown key 'pool', did you mean 'pooling'?"
    found = only(with_tasks(qqp={"metrik": "accuracy"}))
    assert found == "tasks/qqp.yaml with the config's tasks.qqp: unknown key 'metrik', did you mean 'metric'?"
    assert "options: 'doc_stride' is unknown; valid: empty_texts, positive" in only(
        with_tasks(qqp={"options": {"doc_stride": 9}})
    )


def test_all_problems_come_at_once() -> None:
    found = problems(changed(targets=["xnly"], seeds=[1, 1], sources=3, training={"all": {"epochs": -1}}))
    assert len(found) == 4, found
    assert str(ConfigError(found)).startswith("4 problems in the configuration:\n  - config: ")


def test_a_list_with_a_word_twice() -> None:
    assert only(changed(seeds=[1, 2, 1])) == "config: seeds: given twice: 1"
    assert only(changed(targets=["xnli", "xnli"])) == "config: targets: given twice: xnli"


def test_missing_and_empty_keys() -> None:
    assert "config: key 'seeds' is missing" in only({key: value for key, value in GOOD.items() if key != "seeds"})
    assert only(changed(targets=[])) == "config: targets: must not be empty"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("batch_size", 0, "expected at least 1, found 0"),
        ("examples", -5, "expected at least 1, found -5"),
        ("learning_rate", 0, "expected more than 0, found 0"),
        ("warmup_share", 1.5, "expected at most 1, found 1.5"),
        ("epochs", "three", "expected a number, found the text 'three'"),
        ("gradient_checkpointing", 1, "expected true or false, found 1"),
        ("precision", "fp16", "'fp16' is unknown; did you mean 'bf16'?"),
    ],
)
def test_ranges_of_training_settings(key: str, value: Any, sentence: str) -> None:
    assert only(changed(training={"intermediate": {key: value}})) == f"config: training.intermediate.{key}: {sentence}"


# ---- YAML's traps ----------------------------------------------------------------------------------------------


def test_a_number_without_a_dot_is_text() -> None:
    found = only(changed(training={"all": yaml.safe_load("learning_rate: 1e-5")}))
    assert found == "config: training.all.learning_rate: 1e-5 is read as text, not as a number; write 1.0e-5"


def test_no_is_a_language() -> None:
    found = problems(with_tasks(xnli={"languages": yaml.safe_load("[en, no]")}))
    assert any(
        'languages[1]: expected text, found False; YAML reads an unquoted no as False: write "no"' in item
        for item in found
    )
    found = problems(changed(intermediates=yaml.safe_load("[none, on]")))
    assert any("intermediates[1]: expected text, found True" in item for item in found)


def test_no_as_a_key() -> None:
    found = problems(with_tasks(tatoeba=yaml.safe_load("hub: {codes: {no: nor}}")))
    assert 'config: tasks.tatoeba.hub.codes: a key is False, not text; write "no" in quotes' in found


def test_files_are_read_strictly_with_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("a: 1\nb:\n  c: 1e-5\n  d: [en, no]\na: 2\nno: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(file, "my.yaml")
    assert caught.value.problems == (
        "my.yaml line 3: 1e-5 is read as text, not as a number; write 1.0e-5",
        'my.yaml line 4: no is read as False; write "no" for the word or false for the truth value',
        "my.yaml line 5: key 'a' is given twice (first in line 1)",
        'my.yaml line 6: no is read as False; write "no" for the word or false for the truth value',
    )


def test_quoted_words_and_plain_truth_values_pass(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("a: [\"no\", '1e-5', true, False]\nb: 1.0e-5\nc: 2\n", encoding="utf-8")
    assert read_yaml(file) == {"a": ["no", "1e-5", True, False], "b": 1e-5, "c": 2}


def test_broken_yaml_says_where(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("a: [1, 2\nb: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2: not YAML"):
        read_yaml(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "absent.yaml")


def test_a_key_given_twice_in_the_configuration_file(tmp_path: Path) -> None:
    """Snakemake's own reader keeps the last of two equal keys in silence."""
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(GOOD) + "seeds: [3]\n", encoding="utf-8")
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = problems(config, (file,))
    assert len(found) == 1 and "key 'seeds' is given twice (first in line" in found[0]


def test_a_trap_in_a_file_is_told_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    config = changed(training={"all": {"learning_rate": "1e-5"}})
    file.write_text(yaml.safe_dump(config).replace("'1e-5'", "1e-5"), encoding="utf-8")
    (found,) = problems(config, (file,))
    assert "config.yaml line " in found and "1e-5 is read as text" in found


# ---- --config --------------------------------------------------------------------------------------------------


def test_texts_of_the_command_line_become_what_the_schema_asks_for() -> None:
    """Snakemake reads the inside of --config values as text: `seeds=[1,2]` is ["1", "2"], `seeds=1,2` is "1,2"."""
    told = {
        "seeds": "3,4",
        "targets": "xnli xquad",
        "intermediates": ["none", "mnli"],
        "keep_tuned": "false",
        "training": {"all": {"max_steps": "7", "learning_rate": "0.001", "examples": "null"}},
        "tasks": {**GOOD["tasks"], "squad_v1": {"max_length": "64", "options": {"doc_stride": "16"}}},
    }
    grid = load(changed(**told))
    assert (grid.seeds, grid.targets, grid.keep_tuned) == ((3, 4), ("xnli", "xquad"), False)
    settings = grid.training_for("target", "mnli")
    assert (settings.max_steps, settings.learning_rate, settings.examples) == (7, 0.001, None)
    assert (grid.cards["squad_v1"].max_length, grid.cards["squad_v1"].options["doc_stride"]) == (64, 16)
    assert load(changed(seeds=5)).seeds == (5,)


def test_a_number_without_a_dot_is_refused_from_the_command_line_too() -> None:
    assert "write 2.0e-5" in only(changed(training={"all": {"learning_rate": "2e-5"}}))


# ---- cards -----------------------------------------------------------------------------------------------------


def test_labels_and_values_of_different_length() -> None:
    found = problems(with_tasks(qqp={"label_values": [0, 1, 2]}))
    assert found == ("tasks/qqp.yaml: label_values: expected one for each of the 2 labels, found 3",)


def test_card_that_refers_to_an_unknown_card() -> None:
    found = problems(with_tasks(xnli={**GOOD["tasks"]["xnli"], "train": ["mnly"]}))
    assert "tasks/xnli.yaml: train: no such task 'mnly', did you mean 'mnli'?" in found
    found = problems(with_tasks(anli_plus={"rows": {"train": ["snly"]}}))
    assert "tasks/anli_plus.yaml: rows.train: no such task 'snly', did you mean 'snli'?" in found


def test_a_head_of_another_family_or_other_labels() -> None:
    found = problems(with_tasks(xnli={**GOOD["tasks"]["xnli"], "train": ["squad_v1"]}))
    assert any("'squad_v1' is of family span, so its head cannot score a sequence task" in item for item in found)
    found = problems(with_tasks(xnli={**GOOD["tasks"]["xnli"], "train": ["qqp"]}))
    assert any("the labels of 'qqp' (not_duplicate, duplicate) are not this card's" in item for item in found)


def test_unknown_adapter_and_label() -> None:
    assert (
        "no such module 'larega' in stiltgrid/adapters, did you mean 'lareqa'?"
        in problems(with_tasks(qqp={"adapter": "larega"}))[0]
    )
    assert "options.positive: no such label 'duplicates'" in only(
        with_tasks(qqp={"options": {"positive": "duplicates"}})
    )


def test_broken_card_of_ones_own(tmp_path: Path) -> None:
    for folder in ("tasks", "schemas"):
        (tmp_path / folder).mkdir()
        for file in (ROOT / folder).iterdir():
            (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tasks/mine.yaml").write_text("family: sequencing\nabout: x\nabout: y\n", encoding="utf-8")
    (tmp_path / "tasks/other.yaml").write_text("family: sequencing\nabout: x\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_grid(changed(data_dir=str(ROOT / "tests/data/mirror"), targets=["mine"]), tmp_path)
    found = caught.value.problems
    assert "tasks/mine.yaml line 3: key 'about' is given twice (first in line 2)" in found
    assert "tasks/other.yaml: family: 'sequencing' is unknown; did you mean 'sequence'?" in found
    assert not any("no such task" in problem for problem in found), "a broken card is not an unknown one"


def on_the_hub(**changes: Any) -> dict[str, Any]:
    models = {"m": {"hub": "owner/name", "revision": "0" * 40}}
    return {**changed(source="hub", data_dir=None, models=models, intermediates=["none"]), **changes}


def test_hub_codes_and_prefixes_cover_every_language() -> None:
    added = {"languages": ["de", "ht"], "hub": {"path": "other/copy"}}
    found = problems(on_the_hub(tasks={"tatoeba": added, "tydiqa": added}))
    assert "tasks/tatoeba.yaml: hub: uses {code}, but hub.codes has none for ht" in found
    assert "tasks/tydiqa.yaml: hub.prefix.values: expected one for every language, found none for de, ht" in found


# ---- recipes and models ----------------------------------------------------------------------------------------


def test_recipes() -> None:
    recipes = {"mixed": {"tasks": ["mnli", "squad_v1"], "sampling": "temperature", "temperature": 2}}
    assert load(changed(recipes=recipes, intermediates=["none", "mixed"])).recipe("mixed").tasks == ("mnli", "squad_v1")
    assert "recipes.mixed.tasks: no such task 'mnly', did you mean 'mnli'?" in only(
        changed(recipes={"mixed": {"tasks": ["mnly"]}})
    )
    assert "recipes.mnli: this is a task's name" in only(changed(recipes={"mnli": {"tasks": ["mnli"]}}))
    assert "other than none" in only(changed(recipes={"none": {"tasks": ["mnli"]}}))
    assert "temperature: has no effect" in only(changed(recipes={"m": {"tasks": ["mnli"], "temperature": 3}}))


def test_a_grid_without_none_is_allowed_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_model_is_like_one_that_is_there() -> None:
    tiny = {"pretrain": PRETRAIN}
    assert "config: models.twin.like: 'tyny' is no model, did you mean 'tiny'?" in only(
        changed(models={"tiny": tiny, "twin": {"like": "tyny"}})
    )
    assert "config: models.b.like: 'a' is itself like 'tiny', name that one" in only(
        changed(models={"tiny": tiny, "a": {"like": "tiny"}, "b": {"like": "a"}})
    )


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"retrieval_layer": 3}, "retrieval_layer: expected 0 to 2, the layers of this model, found 3"),
        ({"pooling": "cls"}, "pooling: cls takes the first token"),
        ({"retrieval_pooling": "cls"}, "retrieval_pooling: cls takes the first token"),
    ],
)
@pytest.mark.parametrize("place", ["path", "mirror", "pretrain"])
def test_what_a_config_json_contradicts(model: dict[str, Any], sentence: str, place: str, tmp_path: Path) -> None:
    """Read where the model is: in its folder, in a mirror, or in the configuration itself."""
    folder = tmp_path / "models/decoder"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "gpt2", "n_layer": 2, "n_head": 2}')
    section: dict[str, Any] = {"path": {"path": str(folder)}, "mirror": {"hub": "made/decoder", "revision": "abc"}}.get(
        place, {"pretrain": {**PRETRAIN, "objective": "causal"}}
    )
    config = changed(models={"m": {**section, **model}})
    if place == "mirror":
        shutil.copytree(ROOT / "tests/data/mirror", tmp_path, dirs_exist_ok=True)
        (tmp_path / "mirror.json").write_text('{"models": {"made/decoder": {"folder": "models/decoder"}}}')
        config["data_dir"] = str(tmp_path)
    assert f"config: models.m: {sentence}" in only(config)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lora": {"rank": 4}, "optimizer": "muon"}, "lora: expected optimizer adamw, found muon"),
        ({"lora": {"rank": 4}, "freeze": "embeddings"}, "freeze: has no effect beside lora"),
    ],
)
def test_parts_that_are_trained_do_not_contradict_each_other(settings: dict[str, Any], sentence: str) -> None:
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
        ({"path": "no/such/folder"}, "path: expected a model folder, found no no/such/folder/config.json"),
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


# ---- data ------------------------------------------------------------------------------------------------------


def test_a_mirror_lists_everything_it_lacks_at_once() -> None:
    overlays = {**GOOD["tasks"], "xnli": {"languages": ["en", "fr", "ru"]}, "hellaswag": {"local": {"folder": "hella"}}}
    found = problems(changed(tasks=overlays, intermediates=["none", "hellaswag"]))
    assert found == (
        "intermediate 'hellaswag': hella/train.en.jsonl.gz is missing in tests/data/mirror: "
        "there is no folder 'hella'; did you mean 'hellaswag'?",
        "intermediate 'hellaswag': hella/validation.en.jsonl.gz is missing in tests/data/mirror: "
        "there is no folder 'hella'; did you mean 'hellaswag'?",
        "target 'xnli': xnli/validation.{language}.jsonl.gz is missing in tests/data/mirror, for fr, ru",
        "target 'xnli': xnli/test.{language}.jsonl.gz is missing in tests/data/mirror, for fr, ru",
    )  # fmt: skip


def test_an_intermediate_without_training_data() -> None:
    found = problems(changed(intermediates=["none", "xquad"]))
    assert "intermediate 'xquad': has no training data in source 'local'" in found


def test_a_target_without_evaluation_data() -> None:
    config = with_tasks(qqp={"local": {"splits": {"dev": None}}})
    assert any(
        "target 'qqp': has no evaluation data in source 'local'" in item
        for item in problems({**config, "targets": ["qqp"]})
    )


def test_a_language_without_rows_in_the_headline_split() -> None:
    found = only(with_tasks(xnli={"languages": ["en", "de"], "local": {"missing": {"test": ["de"]}}}))
    assert found == "target 'xnli': no test rows of 'de'; take it out of `languages`"


def test_training_languages_that_the_data_set_does_not_have() -> None:
    found = problems(with_tasks(mnli={"train_languages": ["en", "fr"]}))
    assert any("intermediate 'mnli': train_languages: 'mnli' has no language 'fr'" in item for item in found)


def test_local_needs_a_folder() -> None:
    assert (
        only(changed(data_dir=None))
        == "config: data_dir: `source: local` needs the folder that holds the mirror; found null"
    )
    assert "found no folder 'no/such'" in only(changed(data_dir="no/such"))


def test_ccg_without_ccgbank_says_what_to_get_and_where(tmp_path: Path) -> None:
    for name in ("mnli", "text"):
        (tmp_path / name).mkdir()
    config = changed(data_dir=str(tmp_path), intermediates=["none", "ccg"], targets=["tatoeba"])
    found = [problem for problem in problems(config) if "'ccg'" in problem]
    assert found and all("LDC2005T13" in problem and f"{tmp_path}/ccg" in problem for problem in found)


def test_ccg_reads_auto_files_or_json_lines() -> None:
    config = changed(intermediates=["none", "ccg"], targets=["tatoeba"], tasks={"tatoeba": {"languages": ["de"]}})
    assert "ccg" in load(config).trained_tasks()


def test_ccg_on_the_hub_asks_for_ones_own_copy() -> None:
    config = on_the_hub(intermediates=["none", "ccg"])
    found = problems(config)
    assert found and all("intermediate 'ccg'" in item and "LDC2005T13" in item and "data_dir" in item for item in found)
    assert "ccg" in load({**config, "data_dir": "tests/data/mirror"}).trained_tasks()


def test_a_language_that_a_data_set_on_the_hub_does_not_have() -> None:
    config = on_the_hub(tasks={"xnli": {"languages": ["en", "dee"]}})
    assert "config: tasks.xnli.languages: the task has no 'dee', did you mean 'de'?" in problems(config)


# ---- overlays --------------------------------------------------------------------------------------------------


def snakemake_merge(*paths: Path) -> dict[str, Any]:
    """What Snakemake hands over for `--configfile` overlays on config.yaml, the overlays first."""
    merged: dict[str, Any] = yaml.safe_load(paths[-1].read_text(encoding="utf-8"))
    for path in paths[:-1]:
        update_config(merged, yaml.safe_load(path.read_text(encoding="utf-8")))
    return merged


def test_a_null_takes_an_entry_of_the_file_below_away() -> None:
    config = changed(models={"tiny": {"pretrain": PRETRAIN}, "other": None}, training=None, recipes={"gone": None})
    config["tasks"] = {**GOOD["tasks"], "mlqa": None}
    grid = load(config)
    assert list(grid.models) == ["tiny"] and grid.training == {} and grid.recipes == {}


def test_an_overlay_that_stands_alone(tmp_path: Path) -> None:
    overlay, default = tmp_path / "overlay.yaml", tmp_path / "config.yaml"
    own = {"standalone": True, **changed(models={"mine": {"pretrain": PRETRAIN}}, training={"all": {"max_steps": 9}})}
    overlay.write_text(yaml.safe_dump(own), encoding="utf-8")
    below = changed(recipes={"mixed": {"tasks": ["mnli"]}}, training={"all": {"batch_size": 99, "max_steps": 1}})
    default.write_text(yaml.safe_dump(below), encoding="utf-8")
    merged = snakemake_merge(overlay, default)
    merged["training"]["all"]["epochs"] = 4  # as --config would
    merged["keep_tuned"] = False
    grid = load(merged, (overlay, default))
    assert list(grid.models) == ["mine"] and grid.recipes == {}
    assert grid.training == {"all": {"max_steps": 9, "epochs": 4}} and not grid.keep_tuned


def test_overlays_on_each_other_without_the_default_file(tmp_path: Path) -> None:
    """`--directory` runs where there is no config.yaml: the last overlay must not be taken for it."""
    below, above = tmp_path / "preset.yaml", tmp_path / "my.yaml"
    below.write_text(yaml.safe_dump({"standalone": True, **GOOD}), encoding="utf-8")
    above.write_text(yaml.safe_dump({"recipes": {"mixed": {"tasks": ["mnli"]}}, "seeds": [3]}), encoding="utf-8")
    merged = {"standalone": True, **changed(recipes={"mixed": {"tasks": ["mnli"]}}, seeds=[3])}
    grid = load(merged, (below, above))
    assert grid.seeds == (3,) and list(grid.recipes) == ["mixed"]


# ---- presets ---------------------------------------------------------------------------------------------------

# Files of the shared data folder (its README): languages of each table.
MIRROR = {
    "xnli/test xnli/validation": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "pawsx/test pawsx/validation": "de en es fr ja ko zh",
    "paws/train paws/validation udpos/train panx/train copa/train copa/validation squad/train squad/train_large "
    "squad/validation squad_v2/train squad_v2/validation hellaswag/train hellaswag/validation cosmos_qa/train "
    "cosmos_qa/validation social_i_qa/train social_i_qa/validation commonsense_qa/train commonsense_qa/validation "
    "anli/dev_r1 anli/dev_r2 anli/dev_r3 multi_nli/validation_matched multi_nli/validation_mismatched qqp/train "
    "qqp/validation snli/sample snli/train snli/validation bucc2018/pool": "en",
    "udpos/test": "bg de el en es et eu fi fr id ja ko ru tr vi zh",
    "udpos/validation": "af ar bg de el en es et eu fa fi fr he hi hu id it ja ko lt mr nl pl pt ro ru ta te tr uk "
    "ur vi wo zh",
    "panx/validation": "af ar az bg bn de el en es et eu fa fi fr gu he hi hu id it ja jv ka kk ko lt ml mr ms my nl "
    "pa pl pt qu ro ru sw ta te tl tr uk ur vi yo zh",
    "xquad/validation": "ar de el en es hi ro ru th tr vi zh",
    "mlqa/validation": "ar de en es hi vi zh",
    "tydiqa/train": "en ko sw",
    "tydiqa/validation": "ar bn en fi id ko ru sw te",
    "tatoeba/validation": "af ar az bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko lt ml mr nl pl pt ro "
    "ru sw ta te th tl tr uk ur vi zh",
    "bucc2018/gold bucc2018/pool bucc2018/validation": "zh",
    "lareqa/candidates lareqa/questions": "ar de el en es hi ru th tr vi zh",
    "xcopa/test xcopa/validation": "et ht id it qu sw ta th tr vi zh",
    "text/": "ar bg de el en es et eu fi fr hi id ja ko ru sw ta te th tr ur vi zh",
}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty files under the names of the shared data folder: the door only looks whether they are there."""
    folder = tmp_path_factory.mktemp("data")
    for tables, languages in MIRROR.items():
        for table in tables.split():
            for language in languages.split():
                name = f"{table}{language}.txt.gz" if table == "text/" else f"{table}.{language}.jsonl.gz"
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def local_mirror(mirror: Path) -> Grid:
    paths = (ROOT / "presets/local_mirror.yaml", ROOT / "config.yaml")
    return load({**snakemake_merge(*paths), "data_dir": str(mirror)}, paths)


def test_local_mirror_covers_the_grid_of_the_issue(local_mirror: Grid) -> None:
    assert local_mirror.intermediates == (
        "none", "anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "cosmos_qa", "commonsense_qa",
        "social_i_qa",
    )  # fmt: skip
    assert len(local_mirror.targets) == 11 and "mewslix" not in local_mirror.targets
    assert list(local_mirror.models) == ["mini_xlmr"], "nothing of config.yaml holds beside a preset"
    assert len(local_mirror.models["mini_xlmr"].pretrain["languages"]) == 23  # type: ignore[index]


def test_local_mirror_scores_every_language_there_is(local_mirror: Grid) -> None:
    counts = {target: len(local_mirror.languages(target)) for target in local_mirror.targets}
    assert counts == {
        "xnli": 15, "pawsx": 7, "udpos": 34, "panx": 47, "xquad": 12, "mlqa": 7, "tydiqa": 9, "bucc2018": 1,
        "tatoeba": 41, "xcopa": 11, "lareqa": 11,
    }  # fmt: skip
    splits = {target: local_mirror.eval_splits(target) for target in ("udpos", "panx", "mlqa", "bucc2018", "xnli")}
    assert splits == {
        "udpos": ("dev",),
        "panx": ("dev",),
        "mlqa": ("dev",),
        "bucc2018": ("dev",),
        "xnli": ("dev", "test"),
    }


def test_local_mirror_trains_on_no_evaluation_file(local_mirror: Grid) -> None:
    """English development sets choose the best step, as in XTREME; nothing scored is trained on."""

    def tables(task: str, splits: tuple[str, ...]) -> set[str]:
        section = local_mirror.cards[task].local or {}
        names: set[str] = set()
        for split in splits:
            value = section.get("splits", {}).get(split, ())
            parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            names |= {name if "/" in name else f"{section['folder']}/{name}" for name in parts if name}
        return names

    def origins(task: str) -> tuple[str, ...]:
        return local_mirror.cards[task].origins("train")

    trained = {
        table
        for task in local_mirror.trained_tasks()
        for origin in origins(task)
        for table in tables(origin, ("train",))
    }
    scored = {table for target in local_mirror.targets for table in tables(target, local_mirror.eval_splits(target))}
    assert trained and scored and not trained & scored


def test_local_mirror_fits_the_model(local_mirror: Grid) -> None:
    """Positions beyond the pretrained ones are random."""
    longest = local_mirror.models["mini_xlmr"].pretrain["sequence_length"]  # type: ignore[index]
    names = {*local_mirror.targets, *local_mirror.trained_tasks()}
    assert {
        name: local_mirror.cards[name].max_length for name in names if local_mirror.cards[name].max_length > longest
    } == {}


def test_architectures_lays_a_decoder_beside_the_encoder() -> None:
    paths = (ROOT / "presets/architectures.yaml", ROOT / "config.yaml")
    grid = load(snakemake_merge(*paths), paths)
    encoder, decoder = (dict(grid.models[name].pretrain or {}) for name in ("mini", "mini_decoder"))
    assert decoder.pop("objective") == "causal" and encoder.pop("objective", "masked") == "masked"
    encoder.pop("mask_rate", None)
    assert decoder == {**encoder, "architecture": {**encoder["architecture"], "is_decoder": True}}
    assert len(grid.targets) == 12 and list(grid.models) == ["mini", "mini_decoder"]


def test_the_mini_preset_is_the_default_spelled_out() -> None:
    """Another spelling of the same grid: change both files together."""
    default, mini = (ROOT / "config.yaml",), (ROOT / "presets/mini.yaml", ROOT / "config.yaml")
    grids = load(snakemake_merge(*default), default), load(snakemake_merge(*mini), mini)
    told = [
        {
            "plain": (grid.source, grid.intermediates, grid.targets, grid.seeds, grid.recipes, grid.keep_tuned),
            "world": world_settings(grid.world),
            "models": {name: replace(model, pretrain=None) for name, model in grid.models.items()},
            "pretraining": {name: _pretraining(model) for name, model in grid.models.items()},
            "training": {
                (stage, name): grid.training_for(stage, name)
                for stage in ("intermediate", "target")
                for name in (*grid.cards, *grid.recipes)
            },
            "evaluation": {name: grid.evaluation_for(name) for name in grid.targets},
            # The models of their own are among `models`.
            "studies": {
                name: {key: value for key, value in section.items() if key != "own_models"}
                for name, section in grid.studies.items()
            },
            "cards": grid.cards,
        }
        for grid in grids
    ]
    for part in told[0]:
        assert told[1][part] == told[0][part], part


def _pretraining(model: Model) -> tuple[Any, ...]:
    section = dict(model.pretrain or {})
    return (PretrainSettings.read(section), section["languages"], section["tokenizer"], section.get("characters"))


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("phang2020", 23, 9), ("xtreme_r", 4, 10)],
)
def test_presets_of_the_papers(name: str, rows: int, columns: int) -> None:
    """CCGbank stands in for one's own copy; everything else is on the hub."""
    paths = (ROOT / f"presets/{name}.yaml", ROOT / "config.yaml")
    grid = load({**snakemake_merge(*paths), "data_dir": "tests/data/mirror"}, paths)
    assert (len(grid.intermediates), len(grid.targets), list(grid.models)) == (rows, columns, ["xlmr_large"])
    benchmark = {"phang2020": "xtreme", "xtreme_r": "xtreme_r"}[name]
    for target in grid.targets:
        assert sorted(grid.languages(target)) == sorted(grid.cards[target].benchmarks[benchmark])
