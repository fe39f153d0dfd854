"""What two models of study 2 differ in besides their attention: text, size, vocabulary, pooling."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from stiltgrid.analysis.tables import AnyPath
from stiltgrid.grid.architectures import CAUSAL, MASKED, default_pooling, layer_count, objective, text_part
from stiltgrid.utils.checksums import weights_header

READS = {MASKED: "in both directions", CAUSAL: "from left to right", None: "as an encoder of an encoder-decoder"}
SAME_SIZE = 0.01  # largest relative difference of parameters that counts as none: a head's bias, a position more


@dataclass(frozen=True)
class ModelFacts:
    """A model's attention (its objective), size, pooling and origin; `pretrain` is None for weights from elsewhere."""

    objective: str | None
    layers: int | None
    parameters: int
    vocabulary: int | None
    pooling: str
    origin: str
    pretrain: Mapping[str, Any] | None = None


def read_facts(config: AnyPath, weights: AnyPath, settings: Mapping[str, Any]) -> ModelFacts:
    """Facts from a backbone's `config.json` and weights, and its settings in the configuration."""
    content = json.loads(Path(config).read_text(encoding="utf-8"))
    shapes = [entry["shape"] for name, entry in weights_header(Path(weights)).items() if name != "__metadata__"]
    return ModelFacts(
        objective(content), layer_count(content), sum(map(prod, shapes)), text_part(content).get("vocab_size"),
        settings.get("pooling") or default_pooling(content),
        settings.get("hub") or settings.get("path") or "pretrained here", settings.get("pretrain"),
    )  # fmt: skip


def beyond_attention(first: ModelFacts, second: ModelFacts) -> list[str]:
    """What two models differ in apart from attention and its objective; empty for a matched pair."""
    found = []
    if first.pretrain is None or second.pretrain is None:
        if first.origin != second.origin:
            found.append(f"text and training ({first.origin} against {second.origin})")
    else:
        keys = [key for key in {**first.pretrain, **second.pretrain}
                if _common(first.pretrain, key) != _common(second.pretrain, key)]  # fmt: skip
        found += [f"pretraining ({', '.join(keys)})"] if keys else []
    if abs(first.parameters - second.parameters) > SAME_SIZE * max(first.parameters, second.parameters):
        found.append(f"size ({_millions(first)} against {_millions(second)} million parameters)")
    for what, one, two in (
        ("layers", first.layers, second.layers), ("pieces of vocabulary", first.vocabulary, second.vocabulary),
    ):  # fmt: skip
        if one != two and None not in (one, two):
            found.append(f"{what} ({one:,} against {two:,})")
    if first.pooling != second.pooling:
        found.append(f"pooling ({first.pooling} against {second.pooling})")
    return found


def comparison_order(first: ModelFacts, second: ModelFacts) -> int:
    """0 for two attentions and little else, 1 for two attentions and more, 2 for the same attention."""
    if first.objective == second.objective:
        return 2
    return 1 if beyond_attention(first, second) else 0


def difference_sentence(names: tuple[str, str], first: ModelFacts, second: ModelFacts) -> str:
    """What two models differ in, in one sentence."""
    others, pair = beyond_attention(first, second), " and ".join(names)
    if first.objective == second.objective:
        alike = f"{pair} both read {READS[first.objective]}, so this pair says nothing about attention"
        return f"{alike}; they differ in {', '.join(others)}." if others else f"{alike}."
    attention = f"attention ({READS[first.objective]} against {READS[second.objective]}) with its objective"
    if not others:
        return f"{pair} are a matched pair: they differ in {attention}, and have text, steps and size in common."
    return f"{pair} differ in {attention}, and also in {', '.join(others)}: a difference may come from any of these."


def _common(pretrain: Mapping[str, Any], key: str) -> Any:
    """A setting of the pretraining without what makes the attention."""
    if key in ("objective", "mask_rate"):
        return None
    if key == "architecture":
        return {name: item for name, item in (pretrain.get(key) or {}).items() if name != "is_decoder"}
    return pretrain.get(key)


def _millions(facts: ModelFacts) -> str:
    return f"{facts.parameters / 1e6:,.0f}" if facts.parameters >= 1e7 else f"{facts.parameters / 1e6:.1f}"
