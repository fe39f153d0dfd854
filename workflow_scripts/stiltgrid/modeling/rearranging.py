"""Rows of a tensor in another order, with gradients that need no sum over repeated rows.

The gradient of PyTorch's `index_select` adds rows, because an index may name a row twice. On a GPU the deterministic
form of that sum sorts the index first. The rearrangements here have an inverse, so their gradient is a selection too.
"""

from typing import Any

import torch


def take_rows(values: torch.Tensor, places: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """`values[places]`, (places, …), where `back` is the place in the result of each row of `values`.

    Rows that the result repeats get the gradient of the place in `back` alone; the others' must be zero.
    """
    found: torch.Tensor = _Rearranged.apply(values, places, back)
    return found


def pad_rows(values: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, fill: float) -> torch.Tensor:
    """(mask.numel(), …): row i of `values` (tokens, …) at `places[i]`, and `fill` elsewhere.

    `mask` is true at `places`, which are ascending.
    """
    if not values.is_cuda:  # faster there: half of the time of a selection and a fill
        result = values.new_full((mask.numel(), *values.shape[1:]), fill)
        return result.index_copy(0, places, values)
    padded: torch.Tensor = SelectedPadding.apply(values, places, mask, fill)
    return padded


def real_rows(values: torch.Tensor, places: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`values[places]`, the inverse of `pad_rows`."""
    if not values.is_cuda:
        return values[places]
    found: torch.Tensor = SelectedRows.apply(values, places, mask)
    return found


class _Rearranged(torch.autograd.Function):
    """See `take_rows`."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, places: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(back)
        return values.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradient.index_select(0, *ctx.saved_tensors), None, None


class SelectedPadding(torch.autograd.Function):
    """See `pad_rows`; without the sort that deterministic `index_copy` needs."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, fill: float) -> torch.Tensor:
        """The padded rows."""
        ctx.save_for_backward(places)
        return _padded(values, mask, fill)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """The gradient of the rows."""
        return gradient.index_select(0, *ctx.saved_tensors), None, None, None


class SelectedRows(torch.autograd.Function):
    """See `real_rows`; without the sort of a gradient that is added up."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, places: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The rows at the places."""
        ctx.save_for_backward(mask)
        return values.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient of all rows."""
        return _padded(gradient, ctx.saved_tensors[0], 0.0), None, None


def _padded(values: torch.Tensor, mask: torch.Tensor, fill: float) -> torch.Tensor:
    real = mask.reshape(-1)
    rows = values.index_select(0, (real.cumsum(0) - 1).clamp_(min=0))
    return torch.where(real.view(-1, *(1,) * (rows.ndim - 1)), rows, fill)
