"""Checks of models that need no download: their origin, their `config.json` where it is at hand, their settings."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.data.sources.local import MANIFEST
from stiltgrid.grid.architectures import CAUSAL, MASKED, MASKED_TYPES, layer_count, objective, position_limit
from stiltgrid.grid.grid import Model


def model_problems(model: Model, root: Path, data_dir: str | None = None) -> Iterator[str]:
    """Contradictions within a model's settings, or with its `config.json` where that can be read."""
    given = [key for key in ("hub", "path", "pretrain") if getattr(model, key) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        yield f"expected exactly one of hub, path and pretrain, found {found}"
        return
    if model.hub and not model.revision:
        yield f"revision: '{model.hub}' must be pinned to a commit of its repository; found none"
    if model.revision and not model.hub:
        yield "revision: only a hub model has one"
    if model.path and not (root / Path(model.path).expanduser() / "config.json").is_file():
        yield f"path: expected a model folder, found no {Path(model.path) / 'config.json'}"
    if model.pretrain:
        for problem in _pretrain_problems(model.pretrain):
            yield f"pretrain.{problem}"
    yield from _reading_problems(model, model_config(model, root, data_dir))


def model_config(model: Model, root: Path, data_dir: str | None = None) -> Mapping[str, Any]:
    """A model's `config.json` as far as it is known before anything runs; empty where it is not.

    The configuration of a hub model is known where a mirror has the model.
    """
    if model.pretrain:
        architecture = model.pretrain.get("architecture", {})
        decoder = model.pretrain.get("objective") == CAUSAL and architecture.get("model_type") in MASKED_TYPES
        return {**architecture, **({"is_decoder": True} if decoder else {})}
    folder = known_folder(model, root, data_dir)
    return _read(folder / "config.json") if folder else {}


def known_folder(model: Model, root: Path, data_dir: str | None = None) -> Path | None:
    """The folder of a model that needs no download: its `path`, or its folder in the mirror."""
    if model.path:
        return root / Path(model.path).expanduser()
    if model.hub and data_dir:
        mirror = root / Path(data_dir).expanduser()
        entry = (_read(mirror / MANIFEST).get("models") or {}).get(model.hub)
        return mirror / str(entry["folder"]) if entry else None
    return None


def _read(path: Path) -> Mapping[str, Any]:
    """The JSON mapping in a file; empty where it cannot be read, which fetching the model reports."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _reading_problems(model: Model, config: Mapping[str, Any]) -> Iterator[str]:
    if not config:
        return
    layers, asked = layer_count(config), model.retrieval_layer
    if layers is not None and asked is not None and asked > layers:
        yield f"retrieval_layer: expected 0 to {layers}, the layers of this model, found {asked}"
    for key in ("pooling", "retrieval_pooling"):
        if getattr(model, key) == "cls" and objective(config) == CAUSAL:
            yield (
                f"{key}: cls takes the first token, which attends to no other token in a model that reads from left to "
                "right; expected last, mean or mean_all"
            )


def _pretrain_problems(pretrain: Mapping[str, Any]) -> Iterator[str]:
    architecture = pretrain.get("architecture", {})
    hidden, heads = architecture.get("hidden_size"), architecture.get("num_attention_heads")
    if hidden and heads and hidden % heads:
        yield f"architecture: hidden_size {hidden} is not a multiple of num_attention_heads {heads}"
    limit, length = position_limit(architecture), pretrain.get("sequence_length")
    if limit and length and length > limit:
        yield f"sequence_length: expected at most {limit}, what the architecture's positions allow; found {length}"
    kind = architecture.get("model_type")
    if pretrain.get("objective", MASKED) == MASKED and kind:
        if kind not in MASKED_TYPES:
            yield f"objective: '{kind}' has no masked language model; expected causal, found masked"
        elif architecture.get("is_decoder"):
            yield "objective: architecture.is_decoder reads from left to right; expected causal, found masked"
    tokens = pretrain.get("tokens_per_step")
    if tokens and length and tokens < length:
        yield f"tokens_per_step: expected at least sequence_length {length}, found {tokens}"
    short = pretrain.get("short_length")
    if short and length and length % short:
        yield f"short_length: expected a whole part of sequence_length {length}, found {short}"
