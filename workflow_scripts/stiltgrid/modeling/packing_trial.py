"""A trial on short sequences: does a backbone compute with packed batches what it computes with padded ones?

States and gradients are compared without dropout, then one pass runs as in training, with dropout and, where it is on,
gradient checkpointing: some attention kernels raise there. The comparison is in the precision of the job, TF32 off.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from stiltgrid.modeling.batching import Batch, make_batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded, to_table

LENGTHS = (7, 3, 5)  # tokens of the sequences
# Relative difference of packed and padded results: in float32, as a multiple of what autocast alone changes, and as a
# multiple of the rounding of weights in half precision, which have no float32 to be compared with.
TOLERANCE, ROUNDINGS, STORED_ROUNDINGS = 1e-4, 4.0, 8.0


@dataclass(frozen=True)
class _Result:
    """States (tokens, hidden) of a pass, and the gradients of a random projection of them, end to end."""

    states: torch.Tensor
    gradients: torch.Tensor | None


def packing_fault(backbone: torch.nn.Module, vocabulary: int, compute: Compute) -> str:
    """Why this backbone's batches cannot be packed; empty where they can.

    The backbone must be set to read packed batches. Gradients are part of the trial where they are enabled. Neither
    its mode nor torch's random state changes.
    """
    devices = [torch.cuda.current_device()] if compute.device.type == "cuda" else []
    was_training = backbone.training
    try:
        with torch.random.fork_rng(devices=devices), _without_tf32():
            return _fault(backbone, _Trial(vocabulary, compute), compute)
    except Exception as error:  # architectures raise many kinds for arguments that they do not know
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    finally:
        backbone.train(was_training)


class _Trial:
    """The sequences of the trial, packed and padded, and a random projection of their states."""

    def __init__(self, vocabulary: int, compute: Compute) -> None:
        random = np.random.default_rng(0)
        ids = [random.integers(vocabulary // 2, vocabulary, size) for size in LENGTHS]
        data = Encoded(to_table({"input_ids": ids, "example": list(range(len(ids)))}))
        self.packed, self.padded = (
            make_batch(data, np.arange(len(ids)), 0, packed=packed).to(compute.device) for packed in (True, False)
        )

    def run(self, backbone: torch.nn.Module, batch: Batch, compute: Compute | None) -> _Result:
        """One pass over a batch, in the precision of `compute` or in float32; gradients where they are enabled."""
        with contextlib.nullcontext() if compute is None else compute.autocast():
            states = batch.flat(backbone(batch)).float()
        if not states.requires_grad:
            return _Result(states, None)
        trained = [item for item in backbone.parameters() if item.requires_grad]
        # Gradients of vectors need the whole backward pass but next to no memory.
        vectors = [item for item in trained if item.ndim < 2] or trained
        projection = torch.linspace(-1, 1, states.numel(), device=states.device).sin().view_as(states)
        found = torch.autograd.grad((states * projection).sum(), vectors, allow_unused=True)
        flat = [item.detach().float().reshape(-1) for item in found if item is not None]
        return _Result(states.detach(), torch.cat(flat))


def _fault(backbone: torch.nn.Module, trial: _Trial, compute: Compute) -> str:
    backbone.eval()
    padded = trial.run(backbone, trial.padded, compute)
    packed = trial.run(backbone, trial.packed, compute)
    exact = padded if compute.dtype == torch.float32 else trial.run(backbone, trial.padded, None)
    weights = next(backbone.parameters()).dtype
    least = TOLERANCE if weights == torch.float32 else STORED_ROUNDINGS * torch.finfo(weights).eps
    for name in ("states", "gradients"):
        values = [getattr(result, name) for result in (packed, padded, exact)]
        if values[0] is None:
            continue
        apart, rounding = _apart(values[0], values[1]), _apart(values[1], values[2])
        allowed = max(least, ROUNDINGS * rounding)
        if not apart <= allowed:
            return f"{name} differ from those of padded batches by {apart:.1g} of their size, more than {allowed:.1g}"
    if packed.gradients is not None:
        backbone.train()
        trained = trial.run(backbone, trial.packed, compute)
        if trained.gradients is None or not torch.isfinite(trained.gradients).all():
            return "gradients in training are not finite"
    return ""


def _apart(first: torch.Tensor, second: torch.Tensor) -> float:
    """The norm of the difference by the norm of the second."""
    return float((first - second).norm() / second.norm())


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """TF32 rounds float32 products to 10 bits, which would hide a fault or look like one."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
