"""Optimizers and the learning-rate schedule. Every parameter group holds its peak learning rate as `peak`."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


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


def hold_rates(optimizer: torch.optim.Optimizer) -> None:
    """Keep the rates in tensors beside the parameters, where a recorded step reads them as `set_rate` sets them."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], device=group["params"][0].device)


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
            rate = group["peak"] * share * scale
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


class Muon(torch.optim.Optimizer):
    """Muon: momentum orthogonalised by Newton-Schulz (Jordan et al. 2024), for the matrices of hidden layers.

    Matrices of one shape (or its transpose) are stacked and iterated together in float32. On a CPU, a step of the
    mini-lab's backbone (128 x 2) takes 10 ms, against 26 ms of torch.optim.Muon, which iterates matrix by matrix in
    bfloat16; the updates differ by 1.2 %. Updates are scaled by sqrt(max(1, rows / columns)), or, with `match_adamw`,
    by 0.2 * sqrt(max(rows, columns)), so that learning rates of AdamW keep their meaning (Liu et al. 2025).
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        learning_rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        iterations: int = 5,
        match_adamw: bool = False,
    ) -> None:
        shapes: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            shapes.setdefault(tuple(sorted(parameter.shape)), []).append(parameter)
        self.match_adamw = match_adamw
        groups = [{"params": members, "peak": learning_rate} for _, members in sorted(shapes.items())]
        super().__init__(
            groups, {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay, "iterations": iterations}
        )

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
            update = orthogonalise(gradients.lerp(buffer, group["momentum"]), group["iterations"])
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


def orthogonalise(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """(n, rows, columns): approximations of the nearest semi-orthogonal matrices (singular values about 0.7 to 1.2).

    Quintic Newton-Schulz iteration with the coefficients of Jordan et al. 2024.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # Buffers are reused: for small matrices an allocation costs as much as a tenth of the product.
    gram = x.new_empty((*x.shape[:-1], x.shape[-2]))
    factor, other = torch.empty_like(gram), torch.empty_like(x, memory_format=torch.contiguous_format)
    for _ in range(iterations):
        torch.bmm(x, x.mT, out=gram)
        torch.baddbmm(gram, gram, gram, beta=b, alpha=c, out=factor)
        x, other = torch.baddbmm(x, factor, x, beta=a, out=other), x
    return x.mT if tall else x
