"""Weights on disk: Hugging Face folders for backbones, one safetensors file for a tuned model with its head."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from stiltgrid.modeling.backbone import Backbone, build_backbone
from stiltgrid.utils.checksums import seal_weights, verify_weights
from stiltgrid.utils.errors import SourceError

WEIGHTS = "model.safetensors"


def save_backbone(backbone: Backbone, folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32) -> None:
    """Write `config.json` and `model.safetensors`, which `AutoModel.from_pretrained` loads.

    Converts the backbone to `dtype` in place.
    """
    backbone.model.to(dtype)
    backbone.model.save_pretrained(str(folder), max_shard_size="1000GB")
    seal_weights(Path(folder) / WEIGHTS)


def save_tuned(
    backbone: Backbone, head: torch.nn.Module, folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> None:
    """Write `config.json` and one safetensors file with the keys `backbone.*` and `head.*`.

    The backbone is written in `dtype`, the head, which is small, always in float32.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    backbone.model.config.dtype = dtype
    backbone.model.config.save_pretrained(str(path))
    kept, top = _unshared(backbone.model.state_dict()), _unshared(head.state_dict())
    tensors = {f"backbone.{key}": _stored(value, dtype) for key, value in kept.items()}
    tensors |= {f"head.{key}": _stored(value, torch.float32) for key, value in top.items()}
    save_file(tensors, path / WEIGHTS, {"format": "pt"})
    seal_weights(path / WEIGHTS)


def load_tuned(
    folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> tuple[Backbone, dict[str, torch.Tensor]]:
    """Load a tuned model's backbone and the state of its head; raises SourceError for a damaged file."""
    path = Path(folder) / WEIGHTS
    verify_weights(path)
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises exceptions of its own
        raise SourceError(f"{path}: cannot be loaded ({error}); delete it and run again") from error
    backbone = build_backbone(folder, _below(tensors, "backbone."), dtype)
    return backbone, _below(tensors, "head.")


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


def _unshared(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state without duplicates of tied tensors; loading ties them again."""
    seen: set[int] = set()
    kept = {}
    for key, value in state.items():
        if not value.numel() or value.data_ptr() not in seen:
            kept[key] = value
        seen.add(value.data_ptr())
    return kept


def _stored(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    value = value.detach().cpu()
    return (value.to(dtype) if value.is_floating_point() else value).contiguous()
