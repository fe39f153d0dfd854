"""A valid configuration, ways to change it, and the problems that loading reports."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from snakemake.utils import update_config
from stiltgrid.config.loading import load_grid
from stiltgrid.grid.grid import Grid
from stiltgrid.utils.errors import ConfigError

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


def changed(**changes: Any) -> dict[str, Any]:
    """The valid configuration with top-level keys replaced."""
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


def on_the_hub(**changes: Any) -> dict[str, Any]:
    models = {"m": {"hub": "owner/name", "revision": "0" * 40}}
    return {**changed(source="hub", data_dir=None, models=models, intermediates=["none"]), **changes}


def snakemake_merge(*paths: Path) -> dict[str, Any]:
    """What Snakemake hands over for `--configfile` overlays on config.yaml, the overlays first."""
    merged: dict[str, Any] = yaml.safe_load(paths[-1].read_text(encoding="utf-8"))
    for path in paths[:-1]:
        update_config(merged, yaml.safe_load(path.read_text(encoding="utf-8")))
    return merged


def write_encoder(folder: Path) -> None:
    """A Hugging Face folder of twelve layers, as small as it can be: planning jobs reads its configuration alone."""
    folder.mkdir()
    config = {
        "model_type": "bert",
        "num_hidden_layers": 12,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "vocab_size": 8,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    save_file({"embeddings.word_embeddings.weight": np.zeros((8, 8), np.float32)}, folder / "model.safetensors")
