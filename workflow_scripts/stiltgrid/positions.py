"""How many tokens a backbone can read, from its configuration alone. Pure, so that the parse may ask."""

from collections.abc import Mapping
from typing import Any

from stiltgrid.kinds import text_part

# Position tables of these architectures begin after the padding id (fairseq's habit), so they hold fewer tokens.
OFFSET_POSITIONS = frozenset({
    "camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip


def position_limit(config: Mapping[str, Any]) -> int | None:
    """Tokens that a backbone's `config.json` lets it read; None where it sets no limit (XLM-R: 514 - 2 = 512)."""
    config = text_part(config)
    places = config.get("max_position_embeddings", config.get("n_positions"))
    if not places or places < 0:
        return None
    if config.get("model_type") in OFFSET_POSITIONS:
        return int(places) - int(config.get("pad_token_id", 1)) - 1
    return int(places)


def first_position(config: Mapping[str, Any]) -> int:
    """The position that a backbone counts a text's first token by (XLM-R: the padding id + 1, so 2)."""
    return int(config.get("pad_token_id", 1)) + 1 if config.get("model_type") in OFFSET_POSITIONS else 0
