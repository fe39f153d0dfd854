"""Facts about a backbone follow from its config.json and agree with transformers' registry."""

import pytest
from stiltgrid.grid.architectures import MASKED_TYPES, default_pooling, layer_count, objective
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING_NAMES


def test_the_types_with_a_masked_language_model_are_those_of_transformers():
    assert set(MODEL_FOR_MASKED_LM_MAPPING_NAMES) == MASKED_TYPES


@pytest.mark.parametrize("kind", ["gpt2", "bloom", "llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "mistral"])
def test_decoders_are_causal_and_pooled_by_their_last_token(kind):
    config = AutoConfig.for_model(kind)
    assert type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    assert objective(config.to_dict()) == "causal" and default_pooling(config.to_dict()) == "last"


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "deberta-v2", "modernbert", "eurobert"])
def test_encoders_are_masked_and_pooled_by_their_first_token(kind):
    config = AutoConfig.for_model(kind).to_dict()
    assert objective(config) == "masked" and default_pooling(config) == "cls"


@pytest.mark.parametrize("kind", ["t5", "mt5", "umt5"])
def test_the_encoder_of_an_encoder_decoder_has_no_objective_and_is_pooled_by_the_mean(kind):
    config = AutoConfig.for_model(kind).to_dict()
    assert objective(config) is None and default_pooling(config) == "mean"
    encoder = {**config, "is_encoder_decoder": False, "architectures": ["T5EncoderModel"]}
    assert objective(encoder) is None


def test_flags_of_a_configuration_change_the_objective():
    assert objective({"model_type": "xlm-roberta", "is_decoder": True}) == "causal"
    assert objective({"model_type": "gemma3_text", "use_bidirectional_attention": True}) is None
    wrapped = {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "num_hidden_layers": 3}}
    assert objective(wrapped) == "causal" and layer_count(wrapped) == 3


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer", "num_layers"])
def test_layers_are_counted_under_any_name(key):
    assert layer_count({"model_type": "any", key: 5}) == 5
    assert layer_count({"model_type": "any"}) is None
