import numpy as np
import pytest
import torch
from stiltgrid.modeling.optimizers import (
    NEWTON_SCHULZ,
    Muon,
    adamw,
    decay_groups,
    linear_schedule,
    orthogonalise,
    set_rate,
    split_matrices,
)
from transformers import get_linear_schedule_with_warmup


def parameters(*shapes, seed=1):
    torch.manual_seed(seed)
    found = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    for item in found:
        item.grad = torch.randn(item.shape)
    return found


def test_biases_norms_and_scalars_do_not_decay():
    matrix, bias, scale = parameters((3, 4), (4,), ())
    frozen = torch.nn.Parameter(torch.ones(2, 2), requires_grad=False)
    decayed, plain = decay_groups([matrix, bias, scale, frozen], 0.1)
    assert decayed["params"] == [matrix] and decayed["weight_decay"] == 0.1
    assert plain["params"][0] is bias and plain["params"][1] is scale and plain["weight_decay"] == 0.0


def test_adamw_takes_the_step_of_its_definition():
    matrix, bias = parameters((3, 4), (4,))
    before, gradient = matrix.detach().clone(), matrix.grad.clone()
    optimizer = adamw(decay_groups([matrix, bias], 0.1), 0.01, 1e-8)
    optimizer.step()
    # At step 1 the bias-corrected moments are g and g**2 (Loshchilov & Hutter 2019, algorithm 2).
    expected = before * (1 - 0.01 * 0.1) - 0.01 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(matrix.detach(), expected, rtol=1e-5, atol=1e-6)


def test_the_rate_climbs_then_falls_to_nothing():
    shares = [linear_schedule(step, 10, 0.2) for step in range(10)]
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert linear_schedule(0, 1, 0.1) == 1.0
    assert all(linear_schedule(step, 5, 1.0) > 0 for step in range(5))


@pytest.mark.parametrize(("steps", "share"), [(1, 0.0), (10, 0.1), (37, 0.06), (100, 0.5), (3, 1.0)])
def test_the_schedule_is_that_of_transformers_one_step_later(steps, share):
    """Theirs starts at a rate of 0, a step that trains nothing; ours is their schedule without that step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = get_linear_schedule_with_warmup(optimizer, round(steps * share) + 1, steps + 1)
    for step in range(steps):
        optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [linear_schedule(step, steps, share)]


def test_rates_are_set_from_each_groups_peak():
    first, second = adamw(decay_groups(parameters((2, 2)), 0.0), 0.5, 1e-8), Muon(parameters((2, 3)), 0.02)
    set_rate([first, second], 0.5, scale=2.0)
    assert first.param_groups[0]["lr"] == 0.5 and second.param_groups[0]["lr"] == pytest.approx(0.02)


@pytest.mark.parametrize("shape", [(4, 8, 8), (2, 16, 48), (3, 48, 16)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.3 and values.max() < 1.3


def test_orthogonalising_keeps_the_singular_vectors():
    torch.manual_seed(0)
    matrix = torch.randn(1, 6, 6)
    left, _, right = torch.linalg.svd(matrix)
    inner = left.mT @ orthogonalise(matrix, 12) @ right.mT
    off_diagonal = inner - torch.diag_embed(torch.diagonal(inner, dim1=-2, dim2=-1))
    assert off_diagonal.abs().max() < 1e-3


def test_stacked_muon_equals_matrices_one_by_one():
    shapes = [(8, 8), (8, 8), (4, 8), (8, 4), (8, 8)]
    together, alone = parameters(*shapes), parameters(*shapes)
    gradients = [[torch.randn(shape) for shape in shapes] for _ in range(4)]
    stacked = Muon(together, 0.05, weight_decay=0.1)
    momenta = [torch.zeros(shape) for shape in shapes]
    for step in gradients:
        for item, gradient in zip(together, step, strict=True):
            item.grad = gradient.clone()
        stacked.step()
        for item, gradient, momentum in zip(alone, step, momenta, strict=True):
            momentum.mul_(0.95).add_(gradient, alpha=0.05)
            update = orthogonalise((0.05 * gradient + 0.95 * momentum)[None])[0]
            scale = max(1, item.shape[0] / item.shape[1]) ** 0.5
            item.data = item.data * (1 - 0.05 * 0.1) - 0.05 * scale * update
    for item, reference in zip(together, alone, strict=True):
        torch.testing.assert_close(item.detach(), reference.detach(), rtol=1e-4, atol=1e-5)


def test_matrices_of_hidden_layers_are_told_from_embeddings():
    module = torch.nn.ModuleDict({"words": torch.nn.Embedding(5, 4), "dense": torch.nn.Linear(4, 4)})
    matrices, rest = split_matrices(module)
    assert [id(item) for item in matrices] == [id(module["dense"].weight)]
    assert {id(item) for item in rest} == {id(module["words"].weight), id(module["dense"].bias)}


def test_matched_muon_moves_as_far_as_adamw_does():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(64, 96))
    weight.grad = torch.randn(64, 96)
    Muon([weight], 0.01, match_adamw=True).step()
    # AdamW's steps have a root mean square of 0.2 to 0.4 times the rate in practice (Liu et al. 2025).
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.01 * 0.2, rel=0.2)


def test_orthogonalising_in_place_is_the_plain_iteration():
    a, b, c = NEWTON_SCHULZ
    for shape in [(3, 16, 16), (2, 12, 40), (2, 40, 12)]:
        matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        given = matrices.clone()
        plain = (matrices / matrices.flatten(1).norm(dim=1)[:, None, None]).double()
        for _ in range(5):
            gram = plain @ plain.mT
            plain = a * plain + (b * gram + c * gram @ gram) @ plain
        torch.testing.assert_close(orthogonalise(matrices).double(), plain, rtol=1e-4, atol=1e-5)
        assert torch.equal(matrices, given)


def test_adamw_is_fused():
    optimizer = adamw(decay_groups(parameters((3, 4), (4,)), 0.1), 0.01, 1e-8)
    assert all(group["fused"] for group in optimizer.param_groups)
