"""Operations whose result a GPU's host must wait for: they stop a training step, and a CUDA graph cannot hold them."""

from collections.abc import Sequence
from typing import Any

import torch

NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal")
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")


def waits(function: Any, args: Sequence[Any]) -> str:
    """The name of an operator that waits with these arguments; empty where it does not."""
    name: str = function.name().partition("::")[2].partition(".")[0]
    masked = name in INDEXING and any(item is not None and item.dtype == torch.bool for item in args[1])
    return name if masked or name in NAMES else ""
