"""Optimizers and the learning-rate schedule. Every parameter group holds its peak learning rate as `peak`."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

# Odd polynomials a x + b x^3 + c x^5, applied one after another: "Polar Express" (Amsel et al. 2025, arXiv:2505.16932).
# Each is the best approximation of 1 on the interval into which those before it map [s, 1], where s is the key.
# Singular values from s on become 0.14 to 1.86 for s = 0.001 and 0.73 to 1.27 for s = 0.01; five steps of Jordan et al.
# 2024 give 0.68 to 1.13. Long pretraining learns more when small singular values grow; a few steps of fine-tuning are
# steadier when all are alike (benchmarks/README.md).
POLAR_EXPRESS = {
    0.001: (
        (8.470329, -25.108075, 18.629276),
        (4.182834, -3.108701, 0.580607),
        (3.961857, -2.954046, 0.562976),
    ),
    0.01: (
        (8.093369, -23.620430, 17.446152),
        (3.636586, -2.721927, 0.536546),
        (2.661300, -1.977155, 0.452616),
    ),
}


def decay_groups(parameters: Iterable[torch.nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Two parameter groups: matrices with weight decay; biases, norms and scalars (under two dimensions) without."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [item for item in trained if item.ndim >= 2], "weight_decay": weight_decay},
        {"params": [item for item in trained if item.ndim < 2], "weight_decay": 0.0},
    ]


def adamw(
    groups: Sequence[dict[str, Any]], learning_rate: float, epsilon: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.AdamW:
    """Fused AdamW (Loshchilov & Hutter 2019)."""
    filled = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(filled, lr=learning_rate, eps=epsilon, betas=betas, fused=True)
    for group in optimizer.param_groups:
        group["peak"] = learning_rate
    return optimizer


def linear_schedule(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak rate at `step` (from 0) of `steps`: linear warm-up, then linear decay; never 0."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (steps - step) / max(1, steps - warmup)


def set_rate(optimizers: Iterable[torch.optim.Optimizer], share: float, scale: float = 1.0) -> None:
    """Set every group's rate to `share` of its peak, times `scale` (a task's rate relative to the stage's)."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share * scale


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024): orthogonalised momentum, for the matrices of hidden layers.

    Matrices of one shape (or its transpose) are stacked and iterated together in float32 (see `orthogonalise`).
    `smallest` is a key of `POLAR_EXPRESS`. Updates are scaled by sqrt(max(1, rows / columns)), or, with `match_adamw`,
    by 0.2 * sqrt(max(rows, columns)), so that learning rates of AdamW keep their meaning (Liu et al. 2025).
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        learning_rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        match_adamw: bool = False,
        smallest: float = 0.01,
    ) -> None:
        shapes: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            shapes.setdefault(tuple(sorted(parameter.shape)), []).append(parameter)
        self.match_adamw = match_adamw
        groups = [{"params": members, "peak": learning_rate} for _, members in sorted(shapes.items())]
        defaults = {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay, "smallest": smallest}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update; a parameter without a gradient is treated as if its gradient were zero."""
        for group in self.param_groups:
            members = group["params"]
            gradients = torch.stack([_wide(_gradient(member)) for member in members]).float()
            state = self.state[members[0]]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradients)
            buffer = state["momentum"].lerp_(gradients, 1 - group["momentum"])
            update = orthogonalise(gradients.lerp(buffer, group["momentum"]), group["smallest"])
            torch._foreach_mul_(members, 1 - group["lr"] * group["weight_decay"])
            for member, change in zip(members, update.to(members[0].dtype).unbind(), strict=True):
                rows, columns = member.shape
                scale = 0.2 * max(rows, columns) ** 0.5 if self.match_adamw else max(1.0, rows / columns) ** 0.5
                member.add_(change if rows <= columns else change.mT, alpha=-group["lr"] * scale)


def split_matrices(module: torch.nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Trained parameters: (matrices of hidden layers, all others, embedding tables among them)."""
    tables = {id(item.weight) for item in module.modules() if isinstance(item, torch.nn.Embedding)}
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    matrices = [item for item in trained if item.ndim == 2 and id(item) not in tables]
    taken = {id(item) for item in matrices}
    return matrices, [item for item in trained if id(item) not in taken]


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _wide(matrix: torch.Tensor) -> torch.Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT


def orthogonalise(matrices: torch.Tensor, smallest: float = 0.01) -> torch.Tensor:
    """(n, rows, columns): approximations of the nearest semi-orthogonal matrices.

    Singular values of at least `smallest` (a key of `POLAR_EXPRESS`) of the Frobenius norm become about 1.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # Buffers are reused: for small matrices an allocation costs as much as a tenth of the product.
    gram = x.new_empty((*x.shape[:-1], x.shape[-2]))
    factor, other = torch.empty_like(gram), torch.empty_like(x, memory_format=torch.contiguous_format)
    for a, b, c in POLAR_EXPRESS[smallest]:
        torch.bmm(x, x.mT, out=gram)
        torch.baddbmm(gram, gram, gram, beta=b, alpha=c, out=factor)
        x, other = torch.baddbmm(x, factor, x, beta=a, out=other), x
    return x.mT if tall else x
