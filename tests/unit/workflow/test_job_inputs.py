"""Which files jobs read and what they depend on, for rows of every kind."""

import os
from pathlib import Path
from typing import Any

import pytest
from configurations import ROOT, changed, load
from stiltgrid.data.sources import open_source
from stiltgrid.workflow.job_inputs import JobInputs, job_path
from stiltgrid.workflow.job_params import JobParams
from stiltgrid.workflow.resources import ADAPTER_COPIES, TRAINING_COPIES, JobResources, memory_mb, minutes

MIRROR = os.path.relpath(ROOT / "tests/data/mirror")
RECIPES: dict[str, Any] = {
    "with_text": {"tasks": ["mnli"], "mlm": {"languages": ["de", "en"], "rate": 0.25}},
    "few": {"tasks": ["mnli", "squad_v1"], "examples": 6, "upsample": False},
    "chain": {"sequence": ["mnli", "few"]},
    "own": {"tasks": ["mnli"]},
}
CONFIG = changed(
    recipes=RECIPES,
    intermediates=["none", "mnli", "with_text", "few", "chain", "own"],
    targets=["xnli", "tatoeba", "xcopa"],
    models={**changed()["models"], "fetched": {"hub": "someone/model", "revision": "0" * 40}},
    training={"all": {"epochs": 2}, "tasks": {"own": {"all": {"epochs": 5}}, "mnli": {"target": {"epochs": 7}}}},
)


@pytest.fixture(scope="module")
def params() -> JobParams:
    grid = load(CONFIG)
    source = open_source("local", str(ROOT / "tests/data/mirror"))
    return JobParams(JobInputs(grid, source), ROOT)


@pytest.fixture(scope="module")
def inputs(params: JobParams) -> JobInputs:
    return params.inputs


def on_the_hub() -> JobParams:
    recipe = {"translated": {"tasks": ["mnli"], "languages": ["en", "de"], "data": "translate_train"}}
    grid = load({**CONFIG, "source": "hub", "data_dir": None, "recipes": recipe, "intermediates": ["translated"],
                 "models": {"fetched": CONFIG["models"]["fetched"]}, "targets": ["xnli"], "training": {}})  # fmt: skip
    return JobParams(JobInputs(grid, open_source("hub")), ROOT)


def test_a_relative_mirror_stands_beside_the_snakefile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert job_path("mirror", tmp_path / "clone") == "../clone/mirror"
    assert job_path("/data/mirror", tmp_path) == "/data/mirror"
    assert job_path(None, tmp_path) is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert job_path("~/mirror", tmp_path / "clone") == str(tmp_path / "mirror")
    monkeypatch.chdir(tmp_path)
    assert job_path("./mirror/", tmp_path) == "mirror"


def test_files_of_a_mirror_are_named_so_that_their_change_prepares_again(inputs: JobInputs) -> None:
    names = [Path(file).name for file in inputs.rows("mnli", training=True)]
    assert names == [f"{name}.en.jsonl" for name in ("train", "validation_matched", "validation_mismatched")]
    assert {Path(file).name for file in inputs.rows("tatoeba", training=False)} == {
        f"validation.{code}.jsonl" for code in ("de", "sw", "zh")
    }
    assert [Path(file).name for file in inputs.text("tiny")] == ["en.txt", "de.txt"]
    assert on_the_hub().inputs.rows("mnli", training=True) == [], "the hub has no files"


def test_a_fetched_model_is_encoded_after_its_configuration_is_there(inputs: JobInputs) -> None:
    assert len(inputs.encoding("tiny")) == 2
    assert inputs.encoding("fetched")[2] == "results/models/fetched/backbone/config.json"


def test_training_reads_encoded_rows_and_the_rows_that_development_scores_need(inputs: JobInputs) -> None:
    assert inputs.training("tiny", ["mnli"]) == [
        "results/encoded/tiny/mnli/train.arrow", "results/encoded/tiny/mnli/dev.arrow",
        "results/data/mnli/train.parquet", "results/data/mnli/dev.parquet",
    ]  # fmt: skip


def test_a_chain_starts_from_the_step_before_and_a_row_from_the_backbone(inputs: JobInputs) -> None:
    [weights] = [name for name in inputs.first_checkpoint("tiny", "chain", "1") if name.endswith("model.safetensors")]
    assert weights == "results/intermediate/tiny/mnli/seed1/model.safetensors"
    assert "results/models/tiny/backbone/config.json" in inputs.first_checkpoint("tiny", "mnli", "1")
    assert "results/tuned/tiny/mnli/mnli/seed2/config.json" in inputs.scored_checkpoint("tiny", "mnli", "xnli", "2")
    assert inputs.scored_checkpoint("tiny", "mnli", "tatoeba", "2") == inputs.row_checkpoint("tiny", "mnli", "2")


def test_language_modelling_reads_text_and_the_head_of_where_the_model_came_from(inputs: JobInputs) -> None:
    [text, head] = inputs.beside_tasks("tiny", "with_text")
    assert text == "results/encoded/tiny/raw+de-en/128.arrow"
    assert head == "results/models/tiny/backbone/lm_head.safetensors"
    assert inputs.beside_tasks("fetched", "with_text")[1] == "results/models/fetched/language_head.safetensors"
    assert inputs.beside_tasks("tiny", "few") == ["results/budgets/few.json"]
    assert inputs.beside_tasks("tiny", "mnli") == []


def test_a_version_of_a_task_has_rows_of_its_own() -> None:
    params = on_the_hub()
    [name] = params.inputs.row_data("translated")
    assert name == "mnli+translate_train+de-en" and params.inputs.plain_task(name) == "mnli"
    [original, version] = params.variant(name)
    assert (original["languages"], version["languages"]) == (["en"], ["de"])
    assert original["card"]["hub"]["path"] != version["card"]["hub"]["path"]
    assert params.encoded_card(name) == params.encoded_card("mnli")
    assert params.sequence_length("fetched", name) == params.sequence_length("fetched", "mnli")


def test_params_hold_what_a_job_reads_and_nothing_else(params: JobParams) -> None:
    assert params.source() == {"kind": "local", "data_dir": MIRROR}
    assert params.model_mirror("fetched") == MIRROR and params.model_mirror("tiny") is None
    assert params.model_origin("fetched") == {"hub": "someone/model", "revision": "0" * 40, "path": None}
    assert not {"languages", "characters", "tokenizer"} & params.pretraining("tiny").keys()
    assert params.tokenizer("tiny") == CONFIG["models"]["tiny"]["pretrain"]["tokenizer"]
    for card in (params.encoded_card("mnli"), params.training("target", "tiny", ["mnli"])[0]["card"]):
        assert card["about"] == "" and "local" not in card


def test_settings_of_a_row_are_its_own_and_those_of_a_single_task_come_with_the_task(params: JobParams) -> None:
    assert params.row_settings("mnli") is None
    assert params.row_tasks("tiny", "mnli")[0]["settings"]["epochs"] == 2
    own, mixed = params.row_settings("own"), params.row_settings("few")
    assert own and mixed and (own["epochs"], mixed["epochs"]) == (5, 2)
    assert params.training("target", "tiny", ["mnli"])[0]["settings"]["epochs"] == 7
    assert params.recipe("tiny", "with_text")["text"] == "results/encoded/tiny/raw+de-en/128.arrow"
    assert "text" not in params.recipe("tiny", "mnli")


def test_the_head_and_the_precision_of_a_score_are_those_of_its_last_training(params: JobParams) -> None:
    head = params.head_card("xcopa")
    assert head and head["name"] == "copa", "Social IQa, then COPA"
    assert params.head_card("tatoeba") is None
    assert params.scored_card("xnli")["headline_split"] == "test" and params.scoring_precision("xnli") == "auto"


def test_a_causal_model_is_named_in_its_tokenizers_params() -> None:
    causal = {**CONFIG["models"]["tiny"]["pretrain"], "objective": "causal"}
    grid = load({**CONFIG, "models": {"tiny": {"pretrain": causal}}, "intermediates": ["none"], "recipes": {},
                 "training": {}})  # fmt: skip
    params = JobParams(JobInputs(grid, open_source("local", str(ROOT / "tests/data/mirror"))), ROOT)
    assert params.tokenizer("tiny")["objective"] == "causal"


def test_resources_follow_settings_and_model(tmp_path: Path) -> None:
    adapters = {"all": {"epochs": 2}, "target": {"lora": {"rank": 2}}, "tasks": {"squad_v1": {"all": {"epochs": 9}}}}
    needs = JobResources(load({**CONFIG, "training": adapters}))
    assert (needs.threads("tiny"), needs.threads("fetched")) == (1, 4)
    weights, tokens = tmp_path / "model.safetensors", tmp_path / "train.arrow"
    for file in (weights, tokens):
        with file.open("wb") as opened:
            opened.truncate(500 << 20)
    files = [str(weights), str(tokens)]
    assert needs.training_mb("intermediate", ["mnli"], files, 1) == memory_mb(files, TRAINING_COPIES)
    assert needs.training_mb("target", ["mnli"], files, 2) == memory_mb(files, ADAPTER_COPIES, 2)
    assert needs.training_minutes("intermediate", ["mnli", "squad_v1"], files, 1) == minutes(files, 9) > 30
    assert needs.scoring_mb(files, 1) < needs.training_mb("intermediate", ["mnli"], files, 1)
    assert needs.scoring_minutes(files, 1) <= minutes(files, 1)


def test_a_limited_row_limits_what_its_targets_train_on_and_nothing_else(params: JobParams) -> None:
    (whole,), (limited,) = (params.target_tasks("fetched", row, "mnli") for row in ("few", "few@5"))
    assert (whole["settings"]["examples"], limited["settings"]["examples"]) == (None, 5)
    assert whole == params.training("target", "fetched", ["mnli"])[0]
    assert {**limited, "settings": whole["settings"]} == whole
    assert [task["settings"]["examples"] for task in params.target_tasks("fetched", "none@5", "social_i_qa+copa")] == [
        5, 5,
    ]  # fmt: skip
    assert params.inputs.row_checkpoint("fetched", "few@5", "1") == params.inputs.row_checkpoint("fetched", "few", "1")
