"""Language model heads: the checkpoint's own where it has one, tied to the embeddings.

A head is used in one stage and not saved: only the backbone goes to the next stage.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

from stiltgrid.data.sources.client import HubClient
from stiltgrid.grid.architectures import CAUSAL, objective, text_part
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.library_errors import library_errors
from stiltgrid.preparation.models import model_folder
from stiltgrid.training.language_modelling import head_modules, head_state
from stiltgrid.utils.checksums import seal_weights, verify_weights
from stiltgrid.utils.errors import SourceError, StiltgridError
from stiltgrid.utils.files import atomic_path, read_json

LOG = logging.getLogger(__name__)
DEVIATION = 0.02


class LanguageHead(torch.nn.Module):
    """Vocabulary scores from hidden states: (n, hidden) -> (n, vocabulary).

    The model's own class computes them, with a backbone that returns the given states: activations between the layers
    and caps or scales of the scores are in its code. `origin` is "pretrained", "partly new" or "new".
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleDict(dict(head_modules(model)))
        self.origin = "new"
        setattr(model, model.base_model_prefix, _GivenStates())
        self._model = (model,)  # in a tuple, so that it is not a module of this one: its layers are already

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Compute the scores of all tokens, by the forward pass of the model's class."""
        logits: torch.Tensor = self._model[0](inputs_embeds=states[None], return_dict=True).logits[0]
        return logits


class _GivenStates(torch.nn.Module):
    """A backbone whose last hidden states are its inputs."""

    @property
    def decoder(self) -> "_GivenStates":
        """OPT's class calls the decoder inside of its backbone."""
        return self

    def forward(self, *_: Any, inputs_embeds: torch.Tensor, **__: Any) -> Any:
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=inputs_embeds)


def language_model_class(config: Any, objective_name: str | None) -> Any:
    """The transformers class with a language model head for a configuration and objective; None if there is none."""
    if objective_name is None:
        return None
    mapping = MODEL_FOR_CAUSAL_LM_MAPPING if objective_name == CAUSAL else MODEL_FOR_MASKED_LM_MAPPING
    return mapping[type(config)] if type(config) in mapping else None


def build_language_head(backbone: Backbone, path: str | os.PathLike[str] | None) -> LanguageHead:
    """The head for the backbone's own objective, with the weights that the file at `path` contains.

    Torch's generator draws all other weights. Raises StiltgridError for an architecture without a language model
    head, or with one that needs more than the last hidden states.
    """
    config = backbone.model.config
    kind = language_model_class(config, backbone.objective)
    if kind is None:
        raise StiltgridError(f"architecture '{config.model_type}' has no language model in transformers")
    with torch.device("meta"):
        model = kind(config)
    head = LanguageHead(model)
    head.to_empty(device="cpu")
    head.apply(_initialise)
    _tie(head, backbone, model)
    head.origin = _load_weights(head, backbone, _read_weights(path) if path is not None else {})
    head.to(next(backbone.parameters()).device)
    states = torch.zeros(1, backbone.hidden_size, device=next(backbone.parameters()).device)
    try:
        fits = head(states).shape[-1] == backbone.vocabulary_size
    except Exception as error:  # code of transformers, which may ask anything of a backbone
        LOG.debug("%s: %s", config.model_type, error)
        fits = False
    if not fits:
        raise StiltgridError(
            f"architecture '{config.model_type}' has a language model head that needs more than the last hidden states"
        )
    LOG.info("language modelling (%s) with a %s head", backbone.objective, head.origin)
    return head


def _read_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    verify_weights(path)
    return load_file(path)


@torch.no_grad()
def _initialise(module: torch.nn.Module) -> None:
    """Initialise as BERT does: normal matrices, zero biases, identity norms."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=DEVIATION)
        else:
            parameter.fill_(1.0 if "bias" not in name else 0.0)


def _tie(head: LanguageHead, backbone: Backbone, model: Any) -> None:
    """Share the tensors that the model's own class shares: the embedding table, and biases stored twice."""
    if not getattr(model.config, "tie_word_embeddings", True):
        return
    for target, source in dict(getattr(model, "_tied_weights_keys", None) or {}).items():
        layer, _, name = target.rpartition(".")
        first = layer.partition(".")[0]
        if first not in head.layers:
            continue
        prefix = f"{model.base_model_prefix}."
        if source.startswith(prefix):
            shared = backbone.model.get_parameter(source.removeprefix(prefix))
        else:
            shared = head.layers.get_parameter(source)
        setattr(head.layers.get_submodule(layer), name, shared)


@torch.no_grad()
def _load_weights(head: LanguageHead, backbone: Backbone, state: Mapping[str, torch.Tensor]) -> str:
    """Copy a file's weights into a head; returns its origin.

    Raises SourceError for a tensor of another shape.
    """
    tied = {id(parameter) for parameter in backbone.parameters()}
    own = {id(item): name for name, item in head.layers.named_parameters() if id(item) not in tied}
    for name, value in state.items():
        parameter = head.layers.get_parameter(name)
        if parameter.shape != value.shape:
            raise SourceError(
                f"language model head: '{name}' has shape {tuple(value.shape)}, but this model expects "
                f"{tuple(parameter.shape)}"
            )
        parameter.copy_(value)
        own.pop(id(parameter), None)
    if not own:
        return "pretrained"
    return "partly new" if state else "new"


def fetch_language_head(
    model: Model,
    out: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    client: HubClient | None = None,
) -> None:
    """Write the weights of a checkpoint's language model head, except those tied to the backbone; possibly none.

    The checkpoint is the one that `fetch_model` finds, also in a mirror at `data_dir`. Raises SourceError for weights
    that cannot be read.
    """
    folder, _ = model_folder(model, client or HubClient(), data_dir)
    saved = read_json(folder / "config.json")
    with library_errors(f"model '{model.name}': its weights cannot be read from {folder}"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    kind = language_model_class(config, objective(saved)) if text_part(saved) is saved else None
    kept: dict[str, torch.Tensor] = {}
    if kind is not None:
        with library_errors(f"model '{model.name}': its weights cannot be read from {folder}"):
            loaded, report = kind.from_pretrained(
                folder, config=config, dtype="auto", use_safetensors=True, trust_remote_code=False,
                local_files_only=True, output_loading_info=True,
            )  # fmt: skip
        kept = {key: value for key, value in head_state(loaded).items() if key not in report["missing_keys"]}
    LOG.info("model '%s': its checkpoint has %d tensors of a language model head", model.name, len(kept))
    with atomic_path(Path(out)) as temporary:
        save_file(kept, temporary, {"format": "pt"})
        seal_weights(temporary)
