"""A pretrained model with one interface for all architectures: token ids in, hidden states out."""

import inspect
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding
from transformers.initialization import no_init_weights
from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING
from transformers.utils import logging as transformers_logging

from stiltgrid.grid.architectures import first_position, objective, position_limit
from stiltgrid.modeling.batching import Batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.library_errors import library_errors
from stiltgrid.modeling.optimizers import split_matrices
from stiltgrid.modeling.packing import GROUPED, VARLEN, Packing, register_attention
from stiltgrid.modeling.packing_trial import packing_fault
from stiltgrid.utils.checksums import verify_weights
from stiltgrid.utils.errors import SourceError

transformers_logging.disable_progress_bar()

LOG = logging.getLogger(__name__)


class Backbone(torch.nn.Module):
    """Hidden states of a Hugging Face model; of an encoder-decoder, those of its encoder."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.hidden_layers: int = config.num_hidden_layers
        self.hidden_size: int = getattr(config, "hidden_size", None) or config.d_model
        self.vocabulary_size: int = config.vocab_size
        self.matrix_parameters: int = sum(item.numel() for item in split_matrices(model)[0])
        self.max_length: int | None = position_limit(config.to_dict())
        # Masked, causal, or None: the objective of further training on raw text.
        self.objective: str | None = objective(config.to_dict())
        if config.is_encoder_decoder:
            # The decoder never runs: frozen, so that it has no optimizer state.
            encoder = model.get_encoder()
            kept = {id(parameter) for parameter in encoder.parameters()}
            for parameter in model.parameters():
                parameter.requires_grad_(id(parameter) in kept)
        accepts = inspect.signature(self.reader.forward).parameters
        self._options: dict[str, Any] = {"use_cache": False} if "use_cache" in accepts else {}
        self._takes_positions = "position_ids" in accepts
        self._first_position = first_position(config.to_dict())
        self._padded_attention: str = self.reader.config._attn_implementation
        # The attention of packed batches, once `enable_packing` has found one.
        self._packed_attention: str | None = None
        # Whether packing was tried with gradients; None while it was not tried at all.
        self._tried_with_gradients: bool | None = None
        # Token types are passed only to models that were trained with more than one.
        self.uses_segments = "token_type_ids" in accepts and getattr(config, "type_vocab_size", 0) > 1

    @property
    def reader(self) -> Any:
        """The module that computes hidden states: the model, or the encoder of an encoder-decoder."""
        return self.model.get_encoder() if self.model.config.is_encoder_decoder else self.model

    @property
    def token_embeddings(self) -> torch.nn.Module:
        """The embedding table of the vocabulary."""
        found: torch.nn.Module = self.reader.get_input_embeddings()
        return found

    @property
    def parameter_count(self) -> int:
        """Number of weights, adapters included."""
        return sum(item.numel() for item in self.parameters())

    def forward(self, batch: Batch) -> torch.Tensor:
        """(sequences, longest, hidden): the last layer's states."""
        return self._read(batch).last_hidden_state

    def all_layers(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        """States of every layer, embeddings first: layers + 1 tensors of (sequences, longest, hidden)."""
        return tuple(self._read(batch, output_hidden_states=True).hidden_states)

    def packed_states(
        self, input_ids: torch.Tensor, packing: Packing, segments: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(1, tokens, hidden): the last layer's states of packed token ids; `segments` are their token types."""
        states: torch.Tensor = self._states(input_ids, None, packing, segments).last_hidden_state
        return states

    def _read(self, batch: Batch, **options: Any) -> Any:
        segments = batch.segments if self.uses_segments else None
        return self._states(batch.input_ids, batch.model_mask, batch.packing, segments, **options)

    def _states(
        self,
        input_ids: torch.Tensor,
        mask: torch.Tensor | None,
        packing: Packing | None,
        segments: torch.Tensor | None,
        **options: Any,
    ) -> Any:
        if segments is not None:
            options["token_type_ids"] = segments
        if packing is not None:
            options |= {"packing": packing, "position_ids": packing.positions + self._first_position}
        # Set until the next pass: recomputed activations look the attention up again in the backward pass.
        wanted = self._padded_attention if packing is None else self._packed_attention
        if self.reader.config._attn_implementation != wanted:
            self.reader.config._attn_implementation = wanted
        return self.reader(input_ids, attention_mask=mask, **self._options, **options)

    def enable_packing(self, compute: Compute) -> bool:
        """Find an attention for packed batches under which the model computes what it computes with padding.

        Each candidate is tried on short sequences, with gradients where they are enabled, and gradient checkpointing
        where the model uses it. A warning says why there is none, and the result is False: micro-batches are padded.
        """
        gradients = torch.is_grad_enabled()
        if self._tried_with_gradients is None or (gradients and not self._tried_with_gradients):
            register_attention()
            self._tried_with_gradients = gradients
            self.use_packed_attention(None)
            faults = {} if self._takes_positions else {"packing": "the model takes no position ids"}
            kernels = (VARLEN, GROUPED) if compute.device.type == "cuda" else (GROUPED,)
            for attention in kernels if self._takes_positions else ():
                self.use_packed_attention(attention)
                faults[attention] = packing_fault(self, self.vocabulary_size, compute)
                if not faults[attention]:
                    break
                self.use_packed_attention(None)
            self._report(faults)
        return self._packed_attention is not None

    def packs_evaluation(self, compute: Compute) -> bool:
        """Whether batches of an evaluation are packed: where a kernel for sequences of unequal lengths is found.

        Elsewhere they are padded; sorted by length, they have little padding, and on a CPU that is faster.
        """
        if compute.device.type == "cuda":
            with torch.no_grad():
                self.enable_packing(compute)
        return self.attends_to_unequal_lengths

    @property
    def attends_to_unequal_lengths(self) -> bool:
        """Whether packed batches are read by a kernel for sequences of unequal lengths, without groups or masks."""
        return self._packed_attention == VARLEN

    def use_packed_attention(self, name: str | None) -> None:
        """Read packed batches with the attention of this name in transformers' registry, untried; None for none."""
        self._packed_attention = name

    def _report(self, faults: Mapping[str, str]) -> None:
        """Warn of the attentions that failed, in one line, and say what is used instead."""
        failed = "; ".join(f"{name}: {fault}" for name, fault in faults.items() if fault)
        if self._packed_attention is None:
            LOG.warning("packing is not available, micro-batches are padded: %s", failed)
        elif failed:
            LOG.warning("packed batches use %s: %s", self._packed_attention, failed)

    def checkpoint_gradients(self) -> None:
        """Recompute activations in the backward pass, which saves memory and takes about a third more time."""
        self.model.activation_checkpointing_enable({"use_reentrant": False})
        self._tried_with_gradients = None  # an attention that works without recomputation may not work with it


def auto_class(config: Any) -> Any:
    """The class that loads a folder: `AutoModel`, or the text-encoding one for an encoder alone (T5EncoderModel)."""
    alone = any(name.endswith("EncoderModel") for name in config.architectures or ())
    return AutoModelForTextEncoding if alone and type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel


def model_class(config: Any) -> Any:
    """The architecture without a head that `auto_class` loads for a configuration."""
    encoders = auto_class(config) is AutoModelForTextEncoding
    kind = (MODEL_FOR_TEXT_ENCODING_MAPPING if encoders else MODEL_MAPPING)[type(config)]
    return kind[0] if isinstance(kind, (list, tuple)) else kind


def model_options(config: Any) -> dict[str, Any]:
    """Constructor arguments that omit the unused pooling layer where the architecture has one."""
    kind = model_class(config)
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}


def load_backbone(folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32) -> Backbone:
    """Load the backbone of a Hugging Face folder (`config.json`, `model.safetensors`), never from the network.

    Raises:
        SourceError: if a file is missing, truncated, or needs remote code.
    """
    path = Path(folder)
    config = _config(path)
    weights = path / "model.safetensors"
    if not weights.is_file():
        found = ", ".join(sorted(item.name for item in path.glob("*.bin"))) or "no weights"
        raise SourceError(f"{weights}: missing (found {found}); only safetensors weights are read")
    verify_weights(weights)
    try:
        plain = dtype == torch.float32 and not (path / "adapter_config.json").is_file() and _holds_float32(weights)
        if plain and (model := _own_form(config, load_file(weights))) is not None:
            return Backbone(model)
        model, report = auto_class(config).from_pretrained(
            path,
            config=config,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **model_options(config),
        )
    except Exception as error:  # safetensors and transformers raise many types for a damaged file
        raise SourceError(f"{weights}: cannot be loaded ({type(error).__name__}: {error})") from error
    _refuse_gaps(report["missing_keys"], weights)
    return Backbone(model)


def build_backbone(
    folder: str | os.PathLike[str], state: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32
) -> Backbone:
    """Build a backbone from a folder's `config.json` and weights that are already in memory (a tuned model's)."""
    config = _config(Path(folder))
    if dtype == torch.float32 and (model := _own_form(config, state)) is not None:
        return Backbone(model)
    with library_errors(f"{Path(folder) / 'config.json'}: the model of these weights cannot be built"):
        model, report = model_class(config).from_pretrained(
            None, config=config, state_dict=dict(state), dtype=dtype, output_loading_info=True, **model_options(config)
        )
    _refuse_gaps(report["missing_keys"], Path(folder) / "model.safetensors")
    return Backbone(model)


def _holds_float32(weights: Path) -> bool:
    """Whether all floating-point tensors of a file are float32, according to its header."""
    with safe_open(weights, framework="pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  (no mapping)
    return not any("F" in kind and kind != "F32" for kind in kinds)


def _own_form(config: Any, state: Mapping[str, torch.Tensor]) -> Any:
    """The model in float32, if the weights are float32 and have exactly the model's own names and shapes.

    None otherwise (published, half-precision or quantised weights); `from_pretrained` loads those. It first compiles
    the patterns of all key renamings that transformers knows, which takes longer than a small job's training.
    """
    if getattr(config, "quantization_config", None) is not None:
        return None
    if any(value.is_floating_point() and value.dtype != torch.float32 for value in state.values()):
        return None
    with no_init_weights():
        model = auto_class(config).from_config(config, dtype=torch.float32, **model_options(config))
    model.tie_weights()
    own = model.state_dict()
    tied = {value.data_ptr() for key, value in own.items() if key in state}
    complete = all(key in state or value.data_ptr() in tied for key, value in own.items())
    if not complete or any(key not in own or own[key].shape != value.shape for key, value in state.items()):
        return None
    model.load_state_dict(state, strict=False)
    model.eval()
    return model


def _config(path: Path) -> Any:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with library_errors(f"{path / 'config.json'}: not a readable model configuration"):
        return AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)


def _refuse_gaps(missing: set[str] | list[str], weights: Path) -> None:
    """Refuse missing weights, which would silently be random; an unused pooler may be absent."""
    gaps = sorted(key for key in missing if "pooler" not in key)
    if gaps:
        raise SourceError(f"{weights}: {len(gaps)} weights are missing, among them {', '.join(gaps[:3])}")
