"""What kind of model a backbone is, told by its configuration alone. Pure, so that the parse may ask.

Three kinds matter: those that read a text from both sides (encoders), those that read it from left to right
(decoders), and encoder-decoders, of which the encoder alone is used.
"""

from collections.abc import Mapping
from typing import Any

MASKED, CAUSAL = "masked", "causal"
# Architectures that transformers has a masked language model of; all others without an encoder of their own are
# decoders. A test holds this against the library's own registry.
MASKED_TYPES = frozenset({
    "albert", "bart", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2",
    "distilbert", "electra", "ernie", "esm", "esmc", "eurobert", "flaubert", "fnet", "funnel", "gte", "ibert",
    "jina_embeddings_v3", "layoutlm", "longformer", "luke", "mbart", "megatron-bert", "mobilebert", "modernbert",
    "modernvbert", "mpnet", "mra", "mvp", "neomme", "nomic_bert", "nystromformer", "perceiver", "reformer", "rembert",
    "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert", "tapas", "ultrabert", "ultravbert",
    "xlm", "xlm-roberta", "xlm-roberta-xl", "xmod", "yoso",
})  # fmt: skip
LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text model's part of a configuration that wraps several (Gemma 3 and its kin); else the whole."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def objective(config: Mapping[str, Any]) -> str | None:
    """The language-modelling objective of a `config.json`: masked, causal, or None for the encoder of a pair.

    An encoder's architecture with `is_decoder: true` reads from left to right and is causal. None also where a
    decoder's architecture has been taught to read both ways (`use_bidirectional_attention`).
    """
    config = text_part(config)
    names = config.get("architectures") or ()
    if config.get("is_encoder_decoder") or any(name.endswith("EncoderModel") for name in names):
        return None
    if config.get("model_type") in MASKED_TYPES:
        return CAUSAL if config.get("is_decoder") else MASKED
    return None if config.get("use_bidirectional_attention") in (True, "all") else CAUSAL


def default_pooling(config: Mapping[str, Any]) -> str:
    """The state that stands for a text where nothing else is asked for: the one that has read all of it.

    The first token of an encoder, the last of a decoder; the mean where no token was trained for it.
    """
    return {MASKED: "cls", CAUSAL: "last", None: "mean"}[objective(config)]


def layer_count(config: Mapping[str, Any]) -> int | None:
    """Hidden layers, where the configuration says how many."""
    config = text_part(config)
    return next((int(config[key]) for key in LAYER_KEYS if config.get(key) is not None), None)


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
