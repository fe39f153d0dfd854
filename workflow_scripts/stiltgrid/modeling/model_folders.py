"""Checks of a model's folder and configuration that load no library: `config.json`, tokenizer, headers of weights.

They run while Snakemake parses, and again on models that have been downloaded.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.grid.architectures import MASKED_TYPES, TAKEN_OVER, text_part
from stiltgrid.modeling.architecture_keys import KINDS, known_keys, model_types
from stiltgrid.utils.errors import nearest

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model",
    "tokenizer.model",
)  # fmt: skip
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
    "max_position_embeddings", "n_embd", "n_layer", "n_head", "n_positions", "d_model", "num_layers", "num_heads",
)  # fmt: skip


def folder_problems(folder: Path, shown: str, pickled: bool = False) -> Iterator[str]:
    """What keeps a folder from being a model that the grid can read. `shown` is its name in messages.

    `pickled`: its weights are to be converted, so they are not looked at.
    """
    if not folder.is_dir():
        yield f"expected a model folder, found {_what_is(folder)} at {shown}"
        return
    content, problem = read_mapping(folder / CONFIG)
    if problem:
        yield f"{shown}/{CONFIG}: {problem}"
    else:
        for found in config_problems(content):
            yield f"{shown}/{CONFIG}: {found}"
    if not any((folder / name).is_file() and (folder / name).stat().st_size for name in TOKENIZERS):
        yield f"expected a tokenizer in {shown} ({', '.join(TOKENIZERS)}), found none of these files"
    if not pickled:
        yield from _weight_problems(folder, shown)


def config_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Wrong model types and sizes of a `config.json`. It may have keys that transformers does not know."""
    if config.get("auto_map") and config.get("model_type") not in TAKEN_OVER:
        yield "needs the repository's own code (auto_map), which is never run; choose a model that transformers knows"
        return
    problem = type_problem(config)
    if problem:
        yield problem
        return
    inner = text_part(config)
    for key in SIZES:
        value = inner.get(key)
        sizes = value if isinstance(value, list) else [value]
        if value is not None and not all(type(size) is int and size > 0 for size in sizes):
            yield f"{key}: expected a whole number above 0, found {_found(value)}"
    names = inner.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield f"architectures: expected a list of names, found {_found(names)}"
    if not isinstance(inner.get("pad_token_id"), (int, list, type(None))):
        yield f"pad_token_id: expected a whole number, found {_found(inner['pad_token_id'])}"
    if config.get("model_type") in MASKED_TYPES:
        yield from head_problems(config)


def type_problem(config: Mapping[str, Any]) -> str | None:
    """What is wrong with the `model_type` of a configuration; None if transformers knows it."""
    name = config.get("model_type")
    if not isinstance(name, str):
        return f"model_type: expected the name of an architecture, found {_found(name)}"
    if name not in model_types():
        return f"model_type: transformers knows no '{name}', {nearest(name, model_types())}"
    return None


def head_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """A hidden size that the attention heads do not divide, in architectures whose heads share it evenly."""
    hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
    own_size = "head_dim" in known_keys(str(config.get("model_type")))
    if type(hidden) is int and type(heads) is int and heads > 0 and hidden % heads and not own_size:
        yield f"hidden_size {hidden} is not a multiple of num_attention_heads {heads}"


def architecture_problems(architecture: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the `architecture` of a model that is pretrained here: its type, unknown keys, values."""
    problem = type_problem(architecture)
    if problem:
        yield problem
        return
    name = str(architecture["model_type"])
    known = known_keys(name)
    for key, value in architecture.items() if known else ():
        if key not in known:
            yield f"'{name}' has no key '{key}', {nearest(key, known)}"
        elif known[key] and not (value is None and key not in SIZES) and not _fits(value, known[key]):
            yield f"{key}: expected {KINDS[known[key]]}, found {_found(value)}"
        elif known[key] == "float" and ("dropout" in key or "prob" in key) and value is not None and not 0 <= value < 1:
            yield f"{key}: expected at least 0 and less than 1, found {value}"
    yield from head_problems(architecture)


def _fits(value: Any, kind: str) -> bool:
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    if kind == "str":
        return isinstance(value, str)
    if kind == "int" and isinstance(value, list):  # some models have a size for each layer, or several end tokens
        return all(type(item) is int for item in value)
    return isinstance(value, int) or (kind == "float" and isinstance(value, float))


def _weight_problems(folder: Path, shown: str) -> Iterator[str]:
    names = sorted(path.name for path in folder.iterdir())
    if WEIGHTS in names:
        files = [WEIGHTS]
    elif INDEX in names:
        content, problem = read_mapping(folder / INDEX)
        shards = content.get("weight_map")
        if problem or not isinstance(shards, Mapping) or not all(isinstance(name, str) for name in shards.values()):
            yield f"{shown}/{INDEX}: {problem or 'expected a mapping `weight_map` of tensors to files, found none'}"
            return
        files = sorted(set(shards.values()))
    else:
        pickled = [name for name in names if name.endswith(PICKLED)]
        some = f"only pickled ones ({', '.join(pickled[:3])}), and a pickle can run any code: see `convert`"
        found = some if pickled else "none"
        yield f"expected weights in {shown}/{WEIGHTS}, found {found}"
        return
    for name in files:
        problem = header_problem(folder / name)
        if problem:
            yield f"{shown}/{name}: {problem}"


def header_problem(path: Path) -> str | None:
    """What is wrong with a safetensors file by its header and its length; None if they agree."""
    if not path.is_file():
        return f"expected a safetensors file, found {_what_is(path)}"
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else -1
            if not 0 <= length <= min(size - 8, LARGEST_HEADER):
                return f"not a whole safetensors file: it has {size} bytes, which cannot hold its header"
            header = json.loads(file.read(length))
        ends = [item["data_offsets"][1] for key, item in header.items() if key != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        return f"not a safetensors file: its header cannot be read ({type(error).__name__})"
    return None if size == expected else f"not a whole safetensors file: expected {expected} bytes, found {size}"


def read_mapping(path: Path) -> tuple[Mapping[str, Any], str | None]:
    """The mapping in a JSON file, and what is wrong with the file; the mapping is empty where something is."""
    if not path.is_file():
        return {}, f"expected a file, found {_what_is(path)}"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        return {}, f"cannot be read as JSON ({error})"
    return (content, None) if isinstance(content, Mapping) else ({}, f"expected a mapping, found {_found(content)}")


def _what_is(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "a link to a file that is not there"
    return (
        "a folder"
        if path.is_dir()
        else "a file"
        if path.is_file()
        else "something else"
        if path.exists()
        else "nothing"
    )


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text '{value[:60]}'"
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else str(value)[:60]
