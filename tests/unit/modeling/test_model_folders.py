"""A model's folder and architecture are checked without loading a library."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from stiltgrid.modeling.architecture_keys import (
    TABLE,
    collect,
    has_language_model,
    known_keys,
    language_models,
    model_types,
)
from stiltgrid.modeling.model_folders import architecture_problems, folder_problems, header_problem

ROOT = Path(__file__).parents[3]
# One or more of every kind that the documentation names, and the type of the default experiment.
NAMED = ("xlm-roberta", "bert", "deberta", "deberta-v2", "modernbert", "gpt2", "bloom", "llama", "qwen2", "qwen3",
         "gemma", "gemma2", "gemma3_text", "mistral", "t5", "mt5", "umt5")  # fmt: skip


def test_the_table_is_that_of_the_pinned_transformers() -> None:
    import transformers

    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    version = json.loads(TABLE.read_text(encoding="utf-8"))["transformers"]
    assert version == transformers.__version__ and f"transformers=={version}" in pins
    assert model_types() == tuple(sorted(transformers.CONFIG_MAPPING))
    assert all(has_language_model(name) == (name in language_models()) for name in model_types())
    found = collect(NAMED)
    for name in NAMED:
        assert known_keys(name) == found[name], name


def test_reading_the_table_imports_no_library() -> None:
    code = (
        "import sys; from stiltgrid.modeling.model_folders import architecture_problems\n"
        "assert not list(architecture_problems({'model_type': 'xlm-roberta', 'hidden_size': 64}))\n"
        "assert not {'torch', 'transformers', 'numpy'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "workflow_scripts")}, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hiden_size": 64}, "'xlm-roberta' has no key 'hiden_size', did you mean 'hidden_size'?"),
        ({"n_layer": 2}, "'xlm-roberta' has no key 'n_layer'"),
        ({"model_type": "xlm-robert"}, "model_type: transformers knows no 'xlm-robert', did you mean 'xlm-roberta'?"),
        ({"model_type": 3}, "model_type: expected the name of an architecture, found 3"),
        ({"hidden_size": "wide"}, "hidden_size: expected a whole number, found the text 'wide'"),
        ({"hidden_size": 64.0}, "hidden_size: expected a whole number, found 64.0"),
        ({"is_decoder": "yes"}, "is_decoder: expected true or false, found the text 'yes'"),
        ({"hidden_act": 3}, "hidden_act: expected text, found 3"),
        ({"layer_norm_eps": True}, "layer_norm_eps: expected a number, found True"),
        ({"hidden_dropout_prob": 1}, "hidden_dropout_prob: expected at least 0 and less than 1, found 1"),
        ({"hidden_size": 50, "num_attention_heads": 3}, "hidden_size 50 is not a multiple of num_attention_heads 3"),
    ],
)
def test_architectures_that_the_type_does_not_have(change: dict[str, Any], sentence: str) -> None:
    found = list(architecture_problems({"model_type": "xlm-roberta", **change}))
    assert len(found) == 1 and found[0].startswith(sentence), found


@pytest.mark.parametrize(
    "architecture",
    [
        {"model_type": "gpt2", "n_layer": 2, "hidden_size": 32, "resid_pdrop": 0.0},
        {"model_type": "qwen3", "hidden_size": 48, "num_attention_heads": 5, "head_dim": 16},
        {"model_type": "modernbert", "eos_token_id": 2, "classifier_dropout": None, "norm_eps": 1},
        {"model_type": "gemma3", "text_config": {"hidden_size": 32}},
    ],
)
def test_valid_architectures(architecture: dict[str, Any]) -> None:
    """Names that a type maps onto its own, head sizes of their own, and models of several parts."""
    assert list(architecture_problems(architecture)) == []


def write_model(folder: Path) -> Path:
    folder.mkdir()
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 4, "num_attention_heads": 2, "own": 1}')
    (folder / "vocab.txt").write_text("[PAD]\n")
    return folder


def test_a_sound_folder_has_no_problem(tmp_path: Path) -> None:
    """A config.json may have keys that transformers does not know: published ones do."""
    assert list(folder_problems(write_model(tmp_path / "model"), "model")) == []


def test_shards_are_checked_by_their_index(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors"}}))
    assert list(folder_problems(folder, "model")) == []
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    (found,) = folder_problems(folder, "model")
    assert found == "model/model-2.safetensors: expected a safetensors file, found nothing"


def test_weights_that_are_cut_at_any_byte_are_found(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "model") / "model.safetensors"
    content, cut = whole.read_bytes(), tmp_path / "cut.safetensors"
    assert header_problem(whole) is None
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        assert header_problem(cut), length


def test_what_stands_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(folder / "gone.json")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    assert list(folder_problems(folder, "model")) == [
        "model/config.json: expected a file, found a link to a file that is not there",
        "model/model.safetensors: expected a safetensors file, found a folder",
    ]
    assert list(folder_problems(tmp_path / "gone", "gone")) == ["expected a model folder, found nothing at gone"]
