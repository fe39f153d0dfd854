"""Attention over sequences of unequal lengths by PyTorch's fused GPU kernels: tokens and offsets, no padding, no mask.

`torch.nn.attention.varlen` has neither dropout nor float32 nor, beside a mode that only warns, a deterministic
gradient. So the operators under it are called: FlashAttention in half precision (Dao 2023), memory-efficient attention
(Rabe & Staats 2021, as in xFormers) in float32. There is no CPU kernel; tests register a reference for both.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

WITHOUT_MASK, CAUSAL_MASK = 0, 1  # kinds of mask of the memory-efficient kernel; causal from the top left


@dataclass(frozen=True)
class Attended:
    """What a model passes to attention beside query, key and value."""

    dropout: float
    causal: bool
    scale: float | None


def varlen_attention(
    rows: Sequence[torch.Tensor], offsets: torch.Tensor, longest: int, attended: Attended
) -> torch.Tensor:
    """(tokens, heads, size) from query, key and value (tokens, heads, size); each sequence attends to itself.

    `offsets` are (sequences + 1,) int32 boundaries of the sequences in the rows, `longest` the longest one's tokens.
    Raises RuntimeError or NotImplementedError for shapes, types and devices that have no kernel.
    """
    kind = rows[0].device.type
    if torch.is_autocast_enabled(kind):  # these operators, unlike scaled_dot_product_attention, do not cast
        rows = [row.to(torch.get_autocast_dtype(kind)) for row in rows]
    kernel = MemoryEfficient if rows[0].dtype == torch.float32 else Flash
    states: torch.Tensor = kernel.apply(*rows, offsets, longest, attended)
    return states


class Flash(torch.autograd.Function):
    """FlashAttention, for float16 and bfloat16."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        offsets: torch.Tensor,
        longest: int,
        attended: Attended,
    ) -> torch.Tensor:
        """States (tokens, heads, size); the arguments are those of `varlen_attention`."""
        states, sums, random, unused, _ = torch.ops.aten._flash_attention_forward(
            *(query, key, value, offsets, offsets, longest, longest, attended.dropout, attended.causal, False),
            scale=attended.scale,
        )
        ctx.save_for_backward(query, key, value, offsets, states, sums, random, unused)
        ctx.longest, ctx.attended = longest, attended
        return states  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of query, key and value."""
        query, key, value, offsets, states, sums, random, unused = ctx.saved_tensors
        longest, attended = ctx.longest, ctx.attended
        with strictly_deterministic():
            found = torch.ops.aten._flash_attention_backward(
                *(gradient, query, key, value, states, sums, offsets, offsets, longest, longest),
                *(attended.dropout, attended.causal, random, unused),
                scale=attended.scale,
            )
        return *found, None, None, None


class MemoryEfficient(torch.autograd.Function):
    """Memory-efficient attention, for float32; its tensors have a leading batch of one."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        offsets: torch.Tensor,
        longest: int,
        attended: Attended,
    ) -> torch.Tensor:
        """States (tokens, heads, size); the arguments are those of `varlen_attention`."""
        query, key, value = query[None], key[None], value[None]
        mask = CAUSAL_MASK if attended.causal else WITHOUT_MASK
        states, sums, seed, offset, *_ = torch.ops.aten._efficient_attention_forward(
            *(query, key, value, None, offsets, offsets, longest, longest, attended.dropout, mask, True),
            scale=attended.scale,
        )
        ctx.save_for_backward(query, key, value, offsets, states, sums, seed, offset)
        ctx.longest, ctx.attended, ctx.mask = longest, attended, mask
        return states[0]  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of query, key and value."""
        query, key, value, offsets, states, sums, seed, offset = ctx.saved_tensors
        longest, attended = ctx.longest, ctx.attended
        with strictly_deterministic():
            found = torch.ops.aten._efficient_attention_backward(
                *(gradient[None], query, key, value, None, states, offsets, offsets, longest, longest, sums),
                *(attended.dropout, seed, offset, ctx.mask, False),
                scale=attended.scale,
            )
        return *(item[0] for item in found[:3]), None, None, None


@contextlib.contextmanager
def strictly_deterministic() -> Iterator[None]:
    """Where deterministic algorithms are asked for, ask for them so that the kernels listen.

    Both kernels sum gradients in any order, and say so, while PyTorch's mode is to warn; in the mode that raises
    errors they sum in order.
    """
    mode = torch.get_deterministic_debug_mode()
    if mode == 0:
        yield
        return
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
