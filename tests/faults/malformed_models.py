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
             "index": "model.safetensors.index.json", "pickled": "pytorch_model.bin",
             "nested": "tokenizer.json/x"}  # fmt: skip
    found = {f"model/{names[key]}": value for key, value in {**sound, **files}.items() if value is not None}
    config = {**CONFIG, "models": {"mine": {"path": "model"}}}
    return Case(FOLDER, name, expected, config=config, files=found)


def settings(**changes: Any) -> str:
    """A config.json with keys replaced."""
    return json.dumps({**GOOD_CONFIG, **changes})


CASES = [
    folder("no config.json", "config.json", config=None),
    folder("a config.json that is a list", "config.json", config="[]"),
    folder("a config.json that is broken", "config.json", config='{"model_type": '),
    folder("a config.json that is empty", "config.json", config=""),
    folder("no model_type", "model_type", config=json.dumps({"hidden_size": 32})),
    folder(
        "a model_type that does not exist",
        "did you mean 'xlm-roberta'?",
        config=settings(model_type="xlm-robrta"),
    ),
    folder("a model_type that is a number", "model_type", config=settings(model_type=3)),
    folder("a width that is text", "hidden_size", config=settings(hidden_size="wide")),
    folder("heads that do not divide the width", "num_attention_heads", config=settings(num_attention_heads=3)),
    folder("no tokenizer", "tokenizer", tokenizer=None),
    folder("no weights", "model.safetensors", model=None),
    folder("pickled weights alone", "safetensors", model=None, pickled=b"\x80\x04."),
    folder("weights that are empty", "model.safetensors", model=b""),
    folder("weights whose header is cut short", "model.safetensors", model=header(b"{", 1 << 20)),
    folder("weights whose header is longer than memory", "model.safetensors", model=header(b"{}", 1 << 60)),
    folder("weights whose header is no JSON", "model.safetensors", model=header(b"not json")),
    folder("an index that is a list", "index.json", model=None, index="[]"),
    folder(
        "an index of files that are not there",
        "model-00001",
        model=None,
        index=json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}),
    ),
    folder("weights with bytes after their end", "expected 10 bytes, found 12", model=header(b"{}") + b"xx"),
    folder("weights whose header is a list", "cannot be read", model=header(b"[1]")),
    folder("an index of numbers", "index.json", model=None, index=json.dumps({"weight_map": {"a": 1}})),
    folder("a tokenizer that is empty", "tokenizer", tokenizer=""),
    folder("a tokenizer that is a folder", "tokenizer", tokenizer=None, **{"nested": "{}"}),
    folder("no layer", "num_hidden_layers", config=settings(num_hidden_layers=0)),
    folder("half a layer", "num_hidden_layers", config=settings(num_hidden_layers=2.5)),
    folder("architectures that are a number", "architectures", config=settings(architectures=3)),
    folder("a padding token that is text", "pad_token_id", config=settings(pad_token_id="<pad>")),
    folder("code of a repository", "auto_map", config=settings(auto_map={"AutoModel": "own.Model"})),
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
