"""Every encoder and decoder that the documentation names has its own language model head, by transformers' own code."""

from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import GROUPED, KINDS, ROUND, SHAPE
from safetensors.torch import save_file
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.training.language_heads import build_language_head, language_model_class
from stiltgrid.training.language_modelling import head_state
from stiltgrid.utils.checksums import seal_weights
from transformers import AutoConfig

ONE_KEY = {**SHAPE, "num_key_value_heads": 1}
TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (kind.model_type, dict(kind.shape)) for name, kind in KINDS.items() if kind.objective},
    # Gemma 3 as published holds pictures too; its language model is of this type.
    "gemma3": ("gemma3_text", GROUPED),
    "qwen2": ("qwen2", ONE_KEY),
    "mistral": ("mistral", ONE_KEY),
    "bert-decoder": ("bert", {**ROUND, "is_decoder": True}),
    "roberta": ("roberta", ROUND),
    "deberta": ("deberta", ROUND),
    "eurobert": ("eurobert", ONE_KEY),
    "electra": ("electra", {**ROUND, "embedding_size": 8}),
    "albert": ("albert", {**ROUND, "embedding_size": 8}),
    # An activation between the layers, a head that returns a tuple, scaled scores, a decoder inside of the backbone.
    "distilbert": ("distilbert", {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}),
    "xlm": ("xlm", {"emb_dim": 16, "n_layers": 2, "n_heads": 2}),
    "granite": ("granite", {**ONE_KEY, "logits_scaling": 4.0}),
    "opt": ("opt", {**SHAPE, "ffn_dim": 24, "word_embed_proj_dim": 16}),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_head_gives_the_scores_of_the_whole_model(name: str, tmp_path: Path) -> None:
    """With weights large enough for Gemma 2's cap of the scores to show."""
    model_type, shape = TYPES[name]
    torch.manual_seed(3)
    config = AutoConfig.for_model(model_type, vocab_size=60, **{"pad_token_id": 1, **shape})
    objective = "causal" if shape.get("is_decoder") else None
    kind = language_model_class(config, objective or "masked") or language_model_class(config, "causal")
    whole = kind(config).eval()
    for parameter in whole.parameters():
        parameter.data.mul_(20)
    ids = torch.randint(3, 60, (7,))
    with torch.no_grad():
        expected, states = whole(input_ids=ids[None]).logits[0], whole.base_model(input_ids=ids[None])[0][0]
    file = tmp_path / "head.safetensors"
    save_file(head_state(whole), file, {"format": "pt"})
    seal_weights(file)
    head = build_language_head(Backbone(whole.base_model), file).eval()
    assert head.origin == "pretrained"
    with torch.no_grad():
        assert torch.allclose(head(states), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["bert", "deberta-v3", "modernbert", "distilbert", "gpt2"])
def test_a_new_head_learns(name: str) -> None:
    """A checkpoint without a language model head gets a new one, whose weights have gradients."""
    model_type, shape = TYPES[name]
    config = AutoConfig.for_model(model_type, vocab_size=60, **{"pad_token_id": 1, **shape})
    kind = language_model_class(config, "masked") or language_model_class(config, "causal")
    head = build_language_head(Backbone(kind(config).base_model), None)
    assert head.origin == ("pretrained" if name == "gpt2" else "new"), "all of GPT-2's is tied to its embeddings"
    head(torch.randn(5, 16)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
