"""Text vectors as a folder that sentence-transformers loads: a backbone up to some layer, a pooling, unit length.

Written from the library's documented format (modules.json and one folder a module), without the library itself.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers.initialization import no_init_weights
from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING

from stiltgrid.modeling.backbone import Backbone, model_class, model_options
from stiltgrid.modeling.batching import Batch
from stiltgrid.modeling.tokenization import SpecialTokens
from stiltgrid.utils.checksums import seal_weights
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.files import write_json

MODULES = "sentence_transformers.models"
POOLINGS = {"cls": "cls", "last": "lasttoken", "mean": "mean", "mean_all": "mean"}
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Vectors:
    """Which vectors a text gets: the states of a layer (0: the embeddings' output), pooled, of unit length."""

    layer: int
    pooling: str
    max_length: int


def write_sentence_model(
    backbone: Backbone, special: SpecialTokens, vectors: Vectors, trial: Batch, dtype: torch.dtype, out: Path
) -> None:
    """Write modules, configuration and weights in `dtype`; the tokenizer is left to the caller.

    Layers above the one that is read are left out where the rest computes the same states on the sequences of `trial`;
    otherwise (a model that normalises only after its last layer) all are kept and that layer is selected. Raises
    StiltgridError for an encoder-decoder whose encoder transformers has no class for.
    """
    model, whole = _reader(backbone, vectors.layer, trial)
    modules: list[tuple[str, dict[str, Any]]] = [("Transformer", {})]
    if not whole:
        modules.append(("WeightedLayerPooling", _one_layer(backbone, vectors.layer, out, len(modules))))
    if vectors.pooling == "mean":
        modules.append(("WordWeights", _text_tokens(backbone, special)))
    modules += [("Pooling", _pooling(backbone, vectors.pooling)), ("Normalize", {})]
    model.config.output_hidden_states = not whole
    model.to(dtype).save_pretrained(out)
    entries = []
    for number, (kind, settings) in enumerate(modules):
        folder = "" if number == 0 else f"{number}_{kind}"
        entries.append({"idx": number, "name": str(number), "path": folder, "type": f"{MODULES}.{kind}"})
        if folder:
            (out / folder).mkdir(exist_ok=True)
        if settings:
            (out / folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    (out / "modules.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    write_json({"max_seq_length": vectors.max_length, "do_lower_case": False}, out / "sentence_bert_config.json")
    write_json({"similarity_fn_name": "cosine"}, out / "config_sentence_transformers.json")
    for weights in sorted(out.rglob("*.safetensors")):
        seal_weights(weights)


def _reader(backbone: Backbone, layer: int, trial: Batch) -> tuple[Any, bool]:
    """The model to save, and whether its last states are those of the layer."""
    config, state = backbone.model.config, backbone.model.state_dict()
    with torch.inference_mode():
        expected = backbone.all_layers(trial)[layer]
    if config.is_encoder_decoder:
        if type(config) not in MODEL_FOR_TEXT_ENCODING_MAPPING:
            raise StiltgridError(f"the encoder of '{config.model_type}' alone is no class of transformers")
        kind = MODEL_FOR_TEXT_ENCODING_MAPPING[type(config)]
    else:
        kind = model_class(config)
    if layer < backbone.hidden_layers:
        short = _loaded(kind, config, state, layer)
        if short is not None and _same(short, expected, trial):
            return short, True
    model = _loaded(kind, config, state, None)
    assert model is not None, "a class without our own weights"
    return model, layer == backbone.hidden_layers


def _loaded(kind: Any, config: Any, state: dict[str, torch.Tensor], layers: int | None) -> Any | None:
    """A model of that many layers (None: all) with our weights; None where these do not fit it."""
    config = copy.deepcopy(config)
    if layers is not None:
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    options = model_options(config) if not config.is_encoder_decoder else {}
    try:
        with no_init_weights():
            model = kind(config, **options)
    except (ValueError, KeyError, IndexError):  # an architecture that cannot have so few layers
        return None
    needed = model.state_dict()
    if any(key not in state or state[key].shape != value.shape for key, value in needed.items()):
        return None
    model.load_state_dict({key: state[key] for key in needed}, assign=True)
    model.tie_weights()
    return model.eval()


def _same(model: Any, expected: torch.Tensor, trial: Batch) -> bool:
    """Whether a shortened model's last states are those of the layer, at all tokens that are not padding."""
    short = Backbone(model)
    try:
        with torch.inference_mode():
            found = short(trial)
    except (RuntimeError, ValueError, IndexError):
        return False
    difference = (trial.flat(found) - trial.flat(expected)).abs().max()
    return bool(difference <= TOLERANCE * max(1.0, float(expected.abs().max())))


def _one_layer(backbone: Backbone, layer: int, out: Path, number: int) -> dict[str, Any]:
    """Settings of a weighted mean of all layers in which one has all the weight."""
    weights = torch.zeros(backbone.hidden_layers + 1)
    weights[layer] = 1.0
    folder = out / f"{number}_WeightedLayerPooling"
    folder.mkdir()
    save_file({"layer_weights": weights}, folder / "model.safetensors")
    size = backbone.hidden_size
    return {"word_embedding_dimension": size, "layer_start": 0, "num_hidden_layers": backbone.hidden_layers}


def _text_tokens(backbone: Backbone, special: SpecialTokens) -> dict[str, Any]:
    """Weights by token id, so that a mean leaves out special tokens: a word for each id, and a weight for each word."""
    around = set(special.around)
    words: Sequence[str] = ["special" if number in around else "text" for number in range(backbone.vocabulary_size)]
    return {"vocab": words, "word_weights": {"special": 0.0, "text": 1.0}, "unknown_word_weight": 1.0}


def _pooling(backbone: Backbone, pooling: str) -> dict[str, Any]:
    """Settings in the form that all versions of the library read."""
    modes = {
        "cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "mean_sqrt_len_tokens": "sqrt",
        "weightedmean_tokens": "weighted", "lasttoken": "lasttoken",
    }  # fmt: skip
    wanted = POOLINGS[pooling]
    chosen = {f"pooling_mode_{name}": mode == wanted for name, mode in modes.items()}
    return {"word_embedding_dimension": backbone.hidden_size, **chosen, "include_prompt": True}
