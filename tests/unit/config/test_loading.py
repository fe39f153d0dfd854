"""A wrong configuration is refused before any work, with all problems in one list."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from configurations import GOOD, PRETRAIN, ROOT, changed, load, on_the_hub, only, problems, snakemake_merge, with_tasks
from stiltgrid.config.loading import load_grid
from stiltgrid.utils.errors import ConfigError

pytestmark = pytest.mark.usefixtures("at_the_root")


def test_a_valid_configuration_becomes_a_grid() -> None:
    grid = load(GOOD)
    assert grid.languages("xnli") == ("en", "de", "sw", "zh")
    assert grid.eval_splits("xquad") == ("test",) and grid.headline_split("xnli") == "test"
    assert grid.seeds == (1, 2) and grid.training_for("target", "mnli").max_steps == 3
    assert grid.trained_tasks() == (
        "anli_plus", "ccg", "copa", "lareqa", "mewslix", "mnli", "social_i_qa", "squad_v1",
    )  # fmt: skip


def test_the_shipped_configuration_is_valid() -> None:
    load(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")), (ROOT / "config.yaml",))


def test_parsing_is_quick_and_light() -> None:
    """Every job of a run parses the workflow again: a second here is minutes over a grid."""
    code = (
        "import sys, yaml; from pathlib import Path; from stiltgrid.config.loading import load_grid\n"
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
        shutil.copytree(ROOT / folder, tmp_path / folder)
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


def test_duplicates_in_a_list() -> None:
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


def test_texts_of_the_command_line_are_converted_to_the_types_of_the_schema() -> None:
    """Snakemake reads the inside of --config values as text: `seeds=[1,2]` is ["1", "2"], `seeds=1,2` is "1,2"."""
    changes = {
        "seeds": "3,4",
        "targets": "xnli xquad",
        "intermediates": ["none", "mnli"],
        "keep_tuned": "false",
        "training": {"all": {"max_steps": "7", "learning_rate": "0.001", "examples": "null"}},
        "tasks": {**GOOD["tasks"], "squad_v1": {"max_length": "64", "options": {"doc_stride": "16"}}},
    }
    grid = load(changed(**changes))
    assert (grid.seeds, grid.targets, grid.keep_tuned) == ((3, 4), ("xnli", "xquad"), False)
    settings = grid.training_for("target", "mnli")
    assert (settings.max_steps, settings.learning_rate, settings.examples) == (7, 0.001, None)
    assert (grid.cards["squad_v1"].max_length, grid.cards["squad_v1"].options["doc_stride"]) == (64, 16)
    assert load(changed(seeds=5)).seeds == (5,)


def test_a_number_without_a_dot_is_refused_from_the_command_line_too() -> None:
    assert "write 2.0e-5" in only(changed(training={"all": {"learning_rate": "2e-5"}}))


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


def test_ccg_with_the_hub_needs_a_folder_with_ccgbank() -> None:
    config = on_the_hub(intermediates=["none", "ccg"])
    found = problems(config)
    assert found and all("intermediate 'ccg'" in item and "LDC2005T13" in item and "data_dir" in item for item in found)
    assert "ccg" in load({**config, "data_dir": "tests/data/mirror"}).trained_tasks()


def test_a_language_that_a_data_set_on_the_hub_does_not_have() -> None:
    config = on_the_hub(tasks={"xnli": {"languages": ["en", "dee"]}})
    assert "config: tasks.xnli.languages: the task has no 'dee', did you mean 'de'?" in problems(config)


def test_null_removes_an_entry_of_the_file_below() -> None:
    config = changed(models={"tiny": {"pretrain": PRETRAIN}, "other": None}, training=None, recipes={"gone": None})
    config["tasks"] = {**GOOD["tasks"], "mlqa": None}
    grid = load(config)
    assert list(grid.models) == ["tiny"] and grid.training == {} and grid.recipes == {}


def test_null_removes_a_key_of_a_model() -> None:
    own = {"pretrain": PRETRAIN, "path": None, "hub": None, "retrieval_layer": 1}
    grid = load(changed(models={"tiny": own, "top": {"like": "tiny", "retrieval_layer": None}}))
    assert grid.models["tiny"].path is None and grid.models["tiny"].retrieval_layer == 1
    assert grid.models["top"].retrieval_layer is None


def test_a_standalone_overlay_drops_what_only_the_default_says(tmp_path: Path) -> None:
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
