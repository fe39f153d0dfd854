"""An exported checkpoint loads as any model of the hub, wraps text as training did, and says what it is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from architectures import write_folder
from grids import layout, write_metrics
from stiltgrid.analysis.tables import collect_scores
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.preparation.models import fetch_model
from stiltgrid.reporting.checkpoint_export import export_checkpoint
from stiltgrid.reporting.exported_card import CardFacts, TaskFacts
from stiltgrid.reporting.exported_results import TargetResult, read_results
from stiltgrid.utils.errors import SourceError
from transformers import AutoModel, AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

TASK = TaskFacts(
    "mnli", "Natural | language inference", "Williams et al. 2018", ("en",), "hub", "nyu-mll/glue", "abc123"
)
FACTS = CardFacts(
    "tiny", "mnli", 2, "FacebookAI/xlm-roberta-large", "c23d21b", "MIT", {"tasks": ["mnli"], "examples": 500}, (TASK,),
    targets=(TaskFacts("xnli", "", "", ("de", "en", "zh"), "hub", "facebook/xnli"),),
)  # fmt: skip
# As significance.tsv has it, with the remark line of synthetic tables in front.
SIGNIFICANCE = (
    "# remark\nmodel\tintermediate\ttarget\tgain\tlow\thigh\tremark\ntiny\tmnli\txnli\t4.5\t-2.5\t11.5\tfew seeds\n"
)
LOG = {
    "stages": [
        {
            "name": "mnli",
            "planned_steps": 30,
            "best_step": 20,
            "best_score": 66.25,
            "tasks": [{"name": "mnli", "examples": 500}],
            "settings": {"lr": 1e-5},
        }
    ]
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=260, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=66, pad_token_id=1,
    )  # fmt: skip
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "training.json").write_text(json.dumps(LOG))
    return tmp_path / "checkpoint"


def results(folder: Path) -> list[TargetResult]:
    """Seed 2 of the row mnli in xnli, read from tables."""
    collect_scores(write_metrics(folder / "cells"), folder / "scores.parquet", synthetic=False)
    (folder / "significance.tsv").write_text(SIGNIFICANCE, encoding="utf-8")
    row = ("tiny", "mnli", 2)
    return read_results(folder / "scores.parquet", folder / "significance.tsv", layout(), row, ["xnli"])


@pytest.fixture
def export(tmp_path: Path, checkpoint: Path, tiny_tokenizer_folder: Path) -> Callable[..., Path]:
    def run(facts: CardFacts = FACTS) -> Path:
        export_checkpoint(checkpoint, tiny_tokenizer_folder, facts, [LOG], results(tmp_path), tmp_path / "out")
        return tmp_path / "out"

    return run


def test_it_loads_by_auto_model_and_computes_the_same(export, checkpoint: Path) -> None:
    folder = export()
    exported, original = (
        AutoModel.from_pretrained(path, add_pooling_layer=False).eval() for path in (folder, checkpoint)
    )
    ids = torch.arange(5, 25)[None]
    assert torch.equal(exported(ids).last_hidden_state, original(ids).last_hidden_state)


def test_its_tokenizer_wraps_texts_and_pairs_as_training_did(export, tiny_tokenizer_folder: Path) -> None:
    exported, ours = AutoTokenizer.from_pretrained(export()), SubwordTokenizer(tiny_tokenizer_folder)
    one, two = (list(ids) for ids in ours.ids(["The old lighthouse", "老灯塔"]))
    assert exported("The old lighthouse")["input_ids"] == list(ours.join(one))
    assert exported("The old lighthouse", "老灯塔")["input_ids"] == list(ours.join(one, two))
    padded = exported(["The old lighthouse", "a"], padding=True)["input_ids"][1]
    assert padded[-1] == exported.pad_token_id == 1
    assert exported.mask_token_id == 4


def test_the_card_says_data_recipe_seed_scores_and_licence(export) -> None:
    text = (export() / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    metadata = yaml.safe_load(front)
    [entry] = metadata.pop("model-index")
    assert metadata == {
        "library_name": "transformers", "pipeline_tag": "feature-extraction", "license": "other", "language": ["en"],
        "tags": ["intermediate-task-training", "mnli"], "datasets": ["nyu-mll/glue"],
        "base_model": "FacebookAI/xlm-roberta-large", "license_name": "base-model-and-data",
    }  # fmt: skip
    [found] = entry["results"]
    assert entry["name"] == "tiny after mnli, seed 2" and found["dataset"]["type"] == "facebook/xnli"
    assert found["metrics"] == [{"type": "accuracy", "value": 64.0, "verified": False}] or found["metrics"] == [
        {"type": "accuracy", "value": 64.0}
    ]
    # Seed 2 of xnli: (63 + 78 + 51) / 3 = 64; none: (54 + 72 + 54) / 3 = 60.
    for said in (
        "tiny after mnli, seed 2", "nyu-mll/glue at abc123", "Natural \\| language inference", "Williams et al. 2018",
        '"examples": 500', "30 steps planned, weights of step 20 kept",
        "best development score 66.2; training examples: mnli 500.",
        "| xnli | accuracy | test | 3 | 15 | 64.0 | +4.0 | +4.5 | -2.5 to +11.5 | few seeds |",
        "`FacebookAI/xlm-roberta-large` at `c23d21b`",
        "Base model: MIT", "| not read |", "not scores of this model itself",
        "check each before you pass this model on",
    ):  # fmt: skip
        assert said in body


def test_a_model_made_here_has_no_base(export) -> None:
    task, target = (TaskFacts(name, "", "", ("en",), "local") for name in ("mnli", "xnli"))
    facts = CardFacts("tiny", "mnli", 2, None, None, None, {}, (task,), targets=(target,))
    front = yaml.safe_load((export(facts) / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert "base_model" not in front and "datasets" not in front and front["license"] == "other"


@pytest.mark.parametrize(("licence", "said"), [(None, "licence not stated here ("), ("MIT", "MIT.")])
def test_a_model_of_a_folder_was_not_made_here(export, licence: str | None, said: str) -> None:
    """Its licence is its publisher's, who is not known: the card says so, and gives no path of the machine."""
    target = TaskFacts("xnli", "", "", ("en",), "local")
    facts = CardFacts("mine", "mnli", 2, None, None, licence, {}, (), targets=(target,), folder="encoder")
    body = (export(facts) / "README.md").read_text(encoding="utf-8")
    assert "Base: the folder `encoder`, not on the hub." in body and f"Base model: {said}" in body
    assert "made here" not in body and "trained here" not in body


def test_a_card_of_synthetic_data_says_so_first_and_in_its_metadata(export) -> None:
    task = TaskFacts("mnli", "", "", ("en",), "minilab")
    targets = (TaskFacts("xnli", "", "", ("de",), "minilab"),)
    facts = CardFacts("tiny", "mnli", 2, None, None, None, {}, (task,), targets=targets, synthetic=True)
    _, front, body = (export(facts) / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert "synthetic" in metadata["tags"] and body.split("\n\n")[1].startswith("**Synthetic.**")
    assert metadata["model-index"][0]["results"][0]["dataset"]["name"] == "xnli (synthetic)"
    assert "| synthetic; few seeds |" in body


def test_a_licence_that_base_and_data_share_is_the_models(export) -> None:
    facts = replace(FACTS, tasks=(replace(TASK, licence="MIT"),))
    assert (
        yaml.safe_load((export(facts) / "README.md").read_text(encoding="utf-8").split("---\n")[1])["license"] == "mit"
    )


def test_a_checkpoint_that_is_not_whole_is_refused(export, checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(SourceError, match="found no model.safetensors"):
        export()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "mt5"])
def test_every_kind_of_tokenizer_wraps_as_training_did(kind: str, tmp_path: Path) -> None:
    """Token types included, where the model was trained with them."""
    published = write_folder(kind, tmp_path / "original")
    fetch_model(Model(kind, path=str(tmp_path / "original")), tmp_path)
    export_checkpoint(tmp_path / "backbone", tmp_path / "tokenizer", FACTS, [], [], tmp_path / "out")
    exported, ours = AutoTokenizer.from_pretrained(tmp_path / "out"), SubwordTokenizer(tmp_path / "tokenizer")
    pair = ("The old lighthouse", "didn't turn in 1874")
    found = exported(*pair)
    assert found["input_ids"] == ours.join(*ours.ids(list(pair)))
    assert exported(pair[0])["input_ids"] == ours.join(ours.ids([pair[0]])[0])
    assert found.get("token_type_ids") == (published(*pair)["token_type_ids"] if kind == "bert" else None)
    assert AutoModel.from_pretrained(tmp_path / "out").config.model_type == kind
