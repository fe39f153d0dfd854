"""Malformed model folders."""

import json
import struct
from collections.abc import Mapping
from typing import Any

from malformed import CONFIG, Case, Content

FOLDER = "model folders"
GOOD_CONFIG: Mapping[str, Any] = {
    "model_type": "xlm-roberta", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 130, "vocab_size": 300,
}  # fmt: skip
TOKENIZER = '{"version": "1.0"}'


def header(content: bytes, size: int | None = None) -> bytes:
    """A safetensors file of a header alone."""
    return struct.pack("<Q", len(content) if size is None else size) + content


WEIGHTS = header(b"{}")


def folder(name: str, expected: str, *, open: bool = False, **files: Content | None) -> Case:
    """A case of a model's folder: files replaced, or left out where they are None (`config` for config.json)."""
    sound: dict[str, Content | None] = {
        "config": json.dumps(dict(GOOD_CONFIG)),
        "tokenizer": TOKENIZER,
        "model": WEIGHTS,
    }
    names = {"config": "config.json", "tokenizer": "tokenizer.json", "model": "model.safetensors",
             "index": "model.safetensors.index.json", "pickled": "pytorch_model.bin"}  # fmt: skip
    found = {f"model/{names[key]}": value for key, value in {**sound, **files}.items() if value is not None}
    config = {**CONFIG, "models": {"mine": {"path": "model"}}}
    return Case(FOLDER, name, expected, config=config, files=found, open=open)


def settings(**changes: Any) -> str:
    """A config.json with keys replaced."""
    return json.dumps({**GOOD_CONFIG, **changes})


CASES = [
    folder("no config.json", "config.json", config=None),
    folder("a config.json that is a list", "config.json", open=True, config="[]"),
    folder("a config.json that is broken", "config.json", open=True, config='{"model_type": '),
    folder("a config.json that is empty", "config.json", open=True, config=""),
    folder("no model_type", "model_type", open=True, config=json.dumps({"hidden_size": 32})),
    folder(
        "a model_type that does not exist",
        "did you mean 'xlm-roberta'?",
        open=True,
        config=settings(model_type="xlm-robrta"),
    ),
    folder("a model_type that is a number", "model_type", open=True, config=settings(model_type=3)),
    folder("a width that is text", "hidden_size", open=True, config=settings(hidden_size="wide")),
    folder(
        "heads that do not divide the width", "num_attention_heads", open=True, config=settings(num_attention_heads=3)
    ),
    folder("no tokenizer", "tokenizer", open=True, tokenizer=None),
    folder("no weights", "model.safetensors", open=True, model=None),
    folder("pickled weights alone", "safetensors", open=True, model=None, pickled=b"\x80\x04."),
    folder("weights that are empty", "model.safetensors", open=True, model=b""),
    folder("weights whose header is cut short", "model.safetensors", open=True, model=header(b"{", 1 << 20)),
    folder("weights whose header is longer than memory", "model.safetensors", open=True, model=header(b"{}", 1 << 60)),
    folder("weights whose header is no JSON", "model.safetensors", open=True, model=header(b"not json")),
    folder("an index that is a list", "index.json", open=True, model=None, index="[]"),
    folder(
        "an index of files that are not there",
        "model-00001",
        open=True,
        model=None,
        index=json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}),
    ),
    Case(FOLDER, "a folder that is not there", "nowhere", config={**CONFIG, "models": {"mine": {"path": "nowhere"}}}),
    Case(
        FOLDER,
        "a file where the folder is meant",
        "config.yaml",
        config={**CONFIG, "models": {"mine": {"path": "config.yaml"}}},
    ),
    Case(
        FOLDER,
        "a hub model without a pinned revision",
        "revision",
        config={**CONFIG, "models": {"mine": {"hub": "someone/model"}}},
    ),
]
