"""Checks of models that need no download: their origin, their `config.json` where it is at hand, their settings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.data.sources.local import MANIFEST
from stiltgrid.grid.architectures import CAUSAL, MASKED, MASKED_TYPES, layer_count, objective, position_limit
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.model_folders import (
    architecture_problems,
    config_problems,
    folder_problems,
    read_mapping,
    type_problem,
)
from stiltgrid.utils.errors import SourceError

COMMIT = re.compile("[0-9a-f]{40}")


def model_problems(model: Model, root: Path, data_dir: str | None = None) -> Iterator[str]:
    """Contradictions within a model's settings, or with its `config.json` where that can be read."""
    given = [key for key in ("hub", "path", "pretrain") if getattr(model, key) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        yield f"expected exactly one of hub, path and pretrain, found {found}"
        return
    if model.convert and model.pretrain:
        yield "convert: a model that is pretrained here has no weights to convert"
    if model.hub and not model.revision:
        yield f"revision: '{model.hub}' must be pinned to a commit of its repository; found none"
    if model.revision and not model.hub:
        yield "revision: only a hub model has one"
    elif model.revision and not COMMIT.fullmatch(model.revision):
        yield f"revision: expected a commit, 40 digits of 0-9 and a-f, since a branch moves; found '{model.revision}'"
    try:
        folder = known_folder(model, root, data_dir)
    except SourceError as error:
        yield str(error)
        return
    wrong = list(folder_problems(folder, model.path or str(folder), model.convert)) if folder else []
    for problem in wrong:
        yield f"path: {problem}" if model.path else problem
    if model.pretrain:
        for problem in _pretrain_problems(model.pretrain):
            yield f"pretrain.{problem}"
    if not wrong:
        yield from _reading_problems(model, model_config(model, root, data_dir))


def model_config(model: Model, root: Path, data_dir: str | None = None) -> Mapping[str, Any]:
    """A model's `config.json` as far as it is known before anything runs; empty where it is not, or is wrong.

    The configuration of a hub model is known where a mirror has the model.
    """
    if model.pretrain:
        architecture = model.pretrain.get("architecture", {})
        decoder = model.pretrain.get("objective") == CAUSAL and architecture.get("model_type") in MASKED_TYPES
        return {**architecture, **({"is_decoder": True} if decoder else {})}
    try:
        folder = known_folder(model, root, data_dir)
    except SourceError:
        return {}
    config = read_mapping(folder / "config.json")[0] if folder else {}
    return {} if any(config_problems(config)) else config


def known_folder(model: Model, root: Path, data_dir: str | None = None) -> Path | None:
    """The folder of a model that needs no download: its `path`, or its folder in the mirror.

    Raises SourceError for a home folder of nobody (`~name`) and for a damaged list of the mirror's models.
    """
    if model.path:
        return root / expanded(model.path)
    manifest = root / expanded(data_dir) / MANIFEST if model.hub and data_dir else None
    if manifest is None or not manifest.exists():
        return None
    content, problem = read_mapping(manifest)
    entries = content.get("models", {})
    entry = entries.get(model.hub) if isinstance(entries, Mapping) else None
    if problem or not isinstance(entries, Mapping) or not (entry is None or _is_entry(entry)):
        raise SourceError(f"{manifest}: {problem or 'not the list of models that `make mirror` writes'}")
    return manifest.parent / entry["folder"] if entry else None


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, Mapping) and all(
        isinstance(entry.get(key), str) for key in ("folder", "revision", "commit")
    )


def expanded(path: str) -> Path:
    """A path with `~` as the home folder; raises SourceError where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SourceError(f"{path}: there is no home folder of this user") from error


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
    for problem in architecture_problems(architecture):
        yield f"architecture: {problem}"
    limit, length = position_limit(architecture), pretrain.get("sequence_length")
    if limit and length and length > limit:
        yield f"sequence_length: expected at most {limit}, what the architecture's positions allow; found {length}"
    kind = architecture.get("model_type")
    if pretrain.get("objective", MASKED) == MASKED and kind and type_problem(architecture) is None:
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
