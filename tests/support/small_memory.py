"""A device that runs out of memory: models of transformers may read so many tokens at a time and no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import PreTrainedModel


@contextmanager
def small_memory(tokens: int, training: bool = True) -> Iterator[list[int]]:
    """Inside the block, passes with more tokens raise torch.OutOfMemoryError; yields the tokens of every pass.

    Counts training passes, or with `training` False those without gradients.
    """
    asked: list[int] = []

    def check(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if not isinstance(module, PreTrainedModel) or torch.is_grad_enabled() != training:
            return
        asked.append(arguments[0].numel())
        if asked[-1] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore lines")

    handle = register_module_forward_pre_hook(check)
    try:
        yield asked
    finally:
        handle.remove()
