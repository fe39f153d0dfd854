"""Reference CPU kernels for the operators of `stiltgrid.modeling.varlen`, which PyTorch has for GPUs only.

Each sequence is computed alone, in float64, with the signature that PyTorch declares. What the GPU kernels refuse is
refused: other types, offsets that are not int32, a `longest` that is too small, sizes that are not aligned.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


class VarlenReference:
    """The kernels; `modes` are the deterministic modes that gradients were computed in."""

    def __init__(self) -> None:
        self.modes: list[int] = []
        self.calls: list[tuple[str, torch.Size, float]] = []  # kernel, shape of the queries, dropout

    def flash_forward(
        self, query: Any, key: Any, value: Any, cum_q: Any, cum_k: Any, max_q: int, max_k: int, dropout: float,
        causal: bool, debug: bool, **options: Any,
    ) -> Any:  # fmt: skip
        """`_flash_attention_forward`."""
        assert query.dtype in (torch.float16, torch.bfloat16), "FlashAttention is for half precision"
        assert query.shape[-1] % 8 == 0 and not debug
        states, sums, seed = self._forward(
            "flash", (query, key, value), (cum_q, cum_k), max_q, dropout, causal, options
        )
        return states, sums, seed, query.new_empty(0), query.new_empty(0)

    def flash_backward(
        self, gradient: Any, query: Any, key: Any, value: Any, out: Any, sums: Any, cum_q: Any, cum_k: Any, max_q: int,
        max_k: int, dropout: float, causal: bool, random: Any, unused: Any, **options: Any,
    ) -> Any:  # fmt: skip
        """`_flash_attention_backward`."""
        return self._backward(gradient, (query, key, value), (out, sums), cum_q, dropout, causal, random, options)

    def efficient_forward(
        self, query: Any, key: Any, value: Any, bias: Any, cum_q: Any, cum_k: Any, max_q: int, max_k: int,
        dropout: float, mask: int, with_sums: bool = False, **options: Any,
    ) -> Any:  # fmt: skip
        """`_efficient_attention_forward`."""
        assert query.shape[0] == 1 and query.dim() == 4 and bias is None and with_sums
        parts = (query[0], key[0], value[0])
        states, sums, seed = self._forward("efficient", parts, (cum_q, cum_k), max_q, dropout, mask == 1, options)
        return states[None], sums[None], seed, seed.clone(), max_q, max_k

    def efficient_backward(
        self, gradient: Any, query: Any, key: Any, value: Any, bias: Any, out: Any, cum_q: Any, cum_k: Any, max_q: int,
        max_k: int, sums: Any, dropout: float, seed: Any, offset: Any, mask: int, bias_gradient: bool, **options: Any,
    ) -> Any:  # fmt: skip
        """`_efficient_attention_backward`."""
        parts = (query[0], key[0], value[0])
        found = self._backward(gradient[0], parts, (out[0], sums[0]), cum_q, dropout, mask == 1, seed, options)
        return *(item[None] for item in found), query.new_empty(0)

    def _forward(
        self, name: str, parts: Any, offsets: Any, longest: int, dropout: float, causal: bool, options: Any
    ) -> Any:
        for item in offsets:
            assert item.dtype == torch.int32 and item[0] == 0 and item[-1] == len(parts[0])
            assert item.diff().max() <= longest
        assert {item.shape for item in parts} == {parts[0].shape} and all(item.stride(-1) == 1 for item in parts)
        self.calls.append((name, parts[0].shape, dropout))
        seed = torch.randint(2**62, (1,)) if dropout else torch.zeros(1, dtype=torch.int64)
        states, sums = attention(parts, offsets[0], dropout, causal, seed, options.get("scale"))
        return states.to(parts[0].dtype), sums.float(), seed

    def _backward(
        self, gradient: Any, parts: Any, saved: Any, offsets: Any, dropout: float, causal: bool, seed: Any, options: Any
    ) -> Any:
        self.modes.append(torch.get_deterministic_debug_mode())
        states, sums = attention(parts, offsets, dropout, causal, seed, options.get("scale"))
        torch.testing.assert_close(saved[0], states.to(saved[0].dtype))
        torch.testing.assert_close(saved[1], sums.float())
        found = gradients(gradient, parts, offsets, dropout, causal, seed, options.get("scale"))
        return tuple(item.to(parts[0].dtype) for item in found)

    @contextlib.contextmanager
    def registered(self) -> Iterator["VarlenReference"]:
        """The kernels are PyTorch's for CPU tensors inside the block."""
        library = torch.library.Library("aten", "IMPL")
        library.impl("_flash_attention_forward", self.flash_forward, "CPU")
        library.impl("_flash_attention_backward", self.flash_backward, "CPU")
        library.impl("_efficient_attention_forward", self.efficient_forward, "CPU")
        library.impl("_efficient_attention_backward", self.efficient_backward, "CPU")
        try:
            yield self
        finally:
            library._destroy()


def _sequences(
    parts: Any, offsets: torch.Tensor, dropout: float, causal: bool, seed: torch.Tensor, scale: float
) -> Iterator[tuple[slice, Any, torch.Tensor, torch.Tensor]]:
    """Of each sequence: where it is, its parts (heads, tokens, size), its scores, and what dropout multiplies with."""
    generator = torch.Generator().manual_seed(int(seed))
    bounds = offsets.tolist()
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        query, key, value = (item[start:stop].double().transpose(0, 1) for item in parts)
        scores = query @ key.transpose(1, 2) * scale
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), float("-inf"))
        kept = (torch.rand(scores.shape, generator=generator, dtype=torch.float64) >= dropout) / (1 - dropout)
        yield slice(start, stop), (query, key, value), scores, kept


def attention(
    parts: Any, offsets: torch.Tensor, dropout: float, causal: bool, seed: torch.Tensor, scale: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, heads, size) states and (heads, tokens) logarithms of softmax's sums, sequence by sequence."""
    states, sums = [], []
    scale = scale or parts[0].shape[-1] ** -0.5
    for _, (_, _, value), scores, kept in _sequences(parts, offsets, dropout, causal, seed, scale):
        states.append((scores.softmax(-1) * kept @ value).transpose(0, 1))
        sums.append(scores.logsumexp(-1))
    return torch.cat(states), torch.cat(sums, dim=1)


def gradients(
    gradient: Any, parts: Any, offsets: torch.Tensor, dropout: float, causal: bool, seed: Any, scale: float | None
) -> list[torch.Tensor]:
    """Gradients of query, key and value, by hand: kernels run below autograd."""
    scale = scale or parts[0].shape[-1] ** -0.5
    found: list[list[torch.Tensor]] = [[], [], []]
    for place, (query, key, value), scores, kept in _sequences(parts, offsets, dropout, causal, seed, scale):
        above, weights = gradient[place].double().transpose(0, 1), scores.softmax(-1)
        of_weights = above @ value.transpose(1, 2) * kept
        of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdim=True)) * scale
        of_parts = (of_scores @ key, of_scores.transpose(1, 2) @ query, (weights * kept).transpose(1, 2) @ above)
        for kind, item in zip(found, of_parts, strict=True):
            kind.append(item.transpose(0, 1))
    return [torch.cat(items) for items in found]
