"""Rearrangements without repeated rows have the values and gradients of plain indexing."""

import numpy as np
import torch
from stiltgrid.modeling.packing import pack
from stiltgrid.modeling.rearranging import SelectedPadding, SelectedRows, pad_rows, real_rows, take_rows

LENGTHS = (3, 5, 1, 4)
MASK = torch.arange(5)[None] < torch.tensor(LENGTHS)[:, None]
PLACES = MASK.flatten().nonzero()[:, 0]


def values(rows: int) -> torch.Tensor:
    return torch.randn(rows, 2, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()


def with_gradient(function, rows: int) -> list[torch.Tensor]:
    given = values(rows)
    found = function(given)
    return [
        found.detach(),
        *torch.autograd.grad((found.sin() * torch.arange(1.0, len(found) + 1)[:, None, None]).sum(), given),
    ]


def test_padding_by_selection_is_that_by_copying():
    plain = with_gradient(lambda given: pad_rows(given, PLACES, MASK, 7.0), 13)
    selected = with_gradient(lambda given: SelectedPadding.apply(given, PLACES, MASK, 7.0), 13)
    assert all(torch.equal(*pair) for pair in zip(plain, selected, strict=True))
    assert (plain[0][~MASK.flatten()] == 7).all() and torch.equal(plain[0][PLACES], values(13))


def test_real_rows_by_selection_are_those_by_indexing():
    plain = with_gradient(lambda given: real_rows(given, PLACES, MASK), 20)
    selected = with_gradient(lambda given: SelectedRows.apply(given, PLACES, MASK), 20)
    assert all(torch.equal(*pair) for pair in zip(plain, selected, strict=True))


def test_taking_rows_into_groups_has_the_gradient_of_the_real_ones():
    groups = pack(np.array(LENGTHS)).groups
    real = torch.zeros(len(groups.gather), dtype=torch.bool)
    real[groups.slots] = True

    def weighted(function):
        given = values(13)
        found = function(given)
        weights = torch.arange(1.0, len(found) + 1) * real  # padding has no gradient, as in attention
        return [found.detach(), *torch.autograd.grad((found * weights[:, None, None]).sum(), given)]

    plain = weighted(lambda given: given.index_select(0, groups.gather))
    inverse = weighted(lambda given: take_rows(given, groups.gather, groups.slots))
    assert all(torch.equal(*pair) for pair in zip(plain, inverse, strict=True))
