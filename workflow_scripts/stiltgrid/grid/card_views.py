"""The part of a card that a stage reads: what is not in the part cannot rerun the stage."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.grid.params import as_params, from_params

# Read by decoding and measuring alone, so that a change of theirs prepares and encodes nothing again.
SCORING_OPTIONS = frozenset({
    "max_answer_length", "mining", "n_best", "neighbours", "normalisation", "null_threshold", "positive",
})  # fmt: skip
READS: Mapping[str, tuple[str, ...]] = {
    "prepare": (
        "family", "fields", "labels", "label_values", "drop_labels", "rows", "adapter", "options", "dev_from_train",
    ),
    "encode": ("family", "labels", "options"),
    "train": ("family", "labels", "options", "metric"),
    "score": ("family", "labels", "options", "metric", "headline_split", "languages"),
}  # fmt: skip
EMPTY: Mapping[str, Any] = {"about": "", "citation": "", "languages": (), "metric": "", "max_length": 0}


def card_part(card: TaskCard, stage: str, source: str | None = None) -> dict[str, Any]:
    """Plain containers with what `stage` (a key of READS) reads of a card, and its section for `source`.

    Fields at their default are left out, so that a field added to TaskCard reruns nothing that does not use it.
    """
    defaults = TaskCard("", "", "", "", (), "", 0)
    known = {field.name for field in fields(TaskCard)}
    names = [name for name in (*READS[stage], *([source] if source else [])) if name in known]
    part = {name: getattr(card, name) for name in names if getattr(card, name) != getattr(defaults, name)}
    if stage in ("prepare", "encode") and "options" in part:
        part["options"] = {key: value for key, value in part["options"].items() if key not in SCORING_OPTIONS}
    plain: dict[str, Any] = as_params({**EMPTY, "name": card.name, **part})
    return plain


def model_part(model: Model, stage: str) -> dict[str, Any]:
    """Plain containers with what `stage` (train or score) reads of a model's settings."""
    names: tuple[str, ...] = ("name", "pooling")
    if stage == "score":
        names += ("retrieval_pooling", "retrieval_layer", "retrieval_centred")
    return {name: getattr(model, name) for name in names}


def card_from_part(part: Mapping[str, Any]) -> TaskCard:
    """A card that holds just what its part does; the rest is empty."""
    card: TaskCard = from_params(TaskCard, part)
    return card
