"""Facts about a backbone that follow from its `config.json`: objective, pooling, layers, longest sequence.

Pure functions, so they can run while Snakemake parses. Three kinds of model matter: encoders, which read a text in both
directions; decoders, which read it from left to right; and encoder-decoders, of which only the encoder is used.
"""

from collections.abc import Mapping
from typing import Any

MASKED, CAUSAL = "masked", "causal"
# Architectures for which transformers has a masked language model. All others, except encoder-decoders, are decoders.
# A test compares this list with the library's own registry.
MASKED_TYPES = frozenset({
    "albert", "bart", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2",
    "distilbert", "electra", "ernie", "esm", "esmc", "eurobert", "flaubert", "fnet", "funnel", "gte", "ibert",
    "jina_embeddings_v3", "layoutlm", "longformer", "luke", "mbart", "megatron-bert", "mobilebert", "modernbert",
    "modernvbert", "mpnet", "mra", "mvp", "neomme", "nomic_bert", "nystromformer", "perceiver", "reformer", "rembert",
    "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert", "tapas", "ultrabert", "ultravbert",
    "xlm", "xlm-roberta", "xlm-roberta-xl", "xmod", "yoso",
})  # fmt: skip
# Architectures that transformers took over from the repositories of their first models, whose `config.json` still names
# that code (`auto_map`). It is not run: transformers' own class reads the same weights.
TAKEN_OVER = frozenset({"eurobert"})
LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
# Position ids of these architectures start after the padding id, as in fairseq: the position table holds fewer tokens.
OFFSET_POSITIONS = frozenset({
    "camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of the text model, where the model has several parts (Gemma 3); otherwise all of it."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def objective(config: Mapping[str, Any]) -> str | None:
    """The language-modelling objective of a `config.json`: masked, causal, or None for an encoder-decoder's encoder.

    An encoder architecture with `is_decoder: true` is causal. None also for a decoder architecture that was trained to
    read in both directions (`use_bidirectional_attention`).
    """
    config = text_part(config)
    names = config.get("architectures") or ()
    if config.get("is_encoder_decoder") or any(name.endswith("EncoderModel") for name in names):
        return None
    if config.get("model_type") in MASKED_TYPES:
        return CAUSAL if config.get("is_decoder") else MASKED
    return None if config.get("use_bidirectional_attention") in (True, "all") else CAUSAL


def default_pooling(config: Mapping[str, Any]) -> str:
    """How a text is pooled unless the configuration says otherwise: by a token that has attended to all of it.

    This is the first token of an encoder and the last of a decoder; without either, the mean.
    """
    return {MASKED: "cls", CAUSAL: "last", None: "mean"}[objective(config)]


def layer_count(config: Mapping[str, Any]) -> int | None:
    """Number of hidden layers; None where the configuration does not say."""
    config = text_part(config)
    return next((int(config[key]) for key in LAYER_KEYS if config.get(key) is not None), None)


def position_limit(config: Mapping[str, Any]) -> int | None:
    """Longest sequence in tokens by a backbone's `config.json` (XLM-R: 514 - 2 = 512); None without a limit."""
    config = text_part(config)
    places = config.get("max_position_embeddings", config.get("n_positions"))
    if not places or places < 0:
        return None
    if config.get("model_type") in OFFSET_POSITIONS:
        return int(places) - int(config.get("pad_token_id", 1)) - 1
    return int(places)


def first_position(config: Mapping[str, Any]) -> int:
    """Position id of a text's first token (XLM-R: the padding id + 1, so 2)."""
    return int(config.get("pad_token_id", 1)) + 1 if config.get("model_type") in OFFSET_POSITIONS else 0
