"""A trial on short sequences: does a backbone compute with packed batches what it computes with padded ones?

States and gradients are compared without dropout, then one pass runs as in training, with dropout and, where it is on,
gradient checkpointing: some attention kernels raise there. The comparison is in the precision of the job, TF32 off.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
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
class Result:
    """States (tokens, hidden) of a pass, and the gradients of a random projection of them, end to end."""

    states: torch.Tensor
    gradients: torch.Tensor | None


def packing_fault(backbone: torch.nn.Module, vocabulary: int, compute: Compute) -> str:
    """Why this backbone's batches cannot be packed; empty where they can.

    The backbone must be set to read packed batches. Gradients are part of the trial where they are enabled. Neither
    its mode nor torch's random state changes.
    """
    random = np.random.default_rng(0)
    ids = [random.integers(vocabulary // 2, vocabulary, size) for size in LENGTHS]
    packed, padded = (trial_batch(ids, compute, packed) for packed in (True, False))
    with without_tf32():
        return fault_of(lambda: _fault(backbone, packed, padded, compute), backbone)


def fault_of(trial: Callable[[], str], backbone: torch.nn.Module) -> str:
    """What a trial says, or the error that it raises; the backbone's mode and torch's random state stay."""
    devices = [torch.cuda.current_device()] if next(backbone.parameters()).is_cuda else []
    was_training = backbone.training
    try:
        with torch.random.fork_rng(devices=devices):
            return trial()
    except Exception as error:  # architectures raise many kinds for arguments that they do not know
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    finally:
        backbone.train(was_training)


def trial_batch(ids: Sequence[np.ndarray], compute: Compute, packed: bool) -> Batch:
    """A batch of sequences of token ids on the device."""
    data = Encoded(to_table({"input_ids": list(ids), "example": list(range(len(ids)))}))
    return make_batch(data, np.arange(len(ids)), 0, packed=packed).to(compute.device)


def vectors_of(backbone: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Trained weights whose gradients need the whole backward pass but next to no memory: vectors, if there are any."""
    trained = [item for item in backbone.parameters() if item.requires_grad]
    return [item for item in trained if item.ndim < 2] or trained


def run(
    read: Callable[[Batch], torch.Tensor],
    batch: Batch,
    compute: Compute | None,
    differentiate: Callable[[torch.Tensor], Sequence[torch.Tensor | None]],
) -> Result:
    """A pass over a batch, in the precision of `compute` or in float32, and its gradients where they are enabled."""
    with contextlib.nullcontext() if compute is None else compute.autocast():
        states = batch.flat(read(batch)).float()
    if not states.requires_grad:
        return Result(states, None)
    projection = torch.linspace(-1, 1, states.numel(), device=states.device).sin().view_as(states)
    kept = states.detach().clone()
    found = differentiate((states * projection).sum())
    return Result(kept, torch.cat([item.detach().float().reshape(-1) for item in found if item is not None]))


def run_backbone(backbone: torch.nn.Module, batch: Batch, compute: Compute | None) -> Result:
    """A pass of a backbone, see `run`."""
    vectors = vectors_of(backbone)
    return run(backbone, batch, compute, lambda total: torch.autograd.grad(total, vectors, allow_unused=True))


def difference(found: Result, expected: Result, exact: Result, weights: torch.dtype, whose: str) -> str:
    """How two results differ by more than rounding does; empty where they do not. `exact` is `expected` in float32.

    `weights` is the dtype of the backbone's, `whose` says in the text what `expected` is.
    """
    least = TOLERANCE if weights == torch.float32 else STORED_ROUNDINGS * torch.finfo(weights).eps
    for name in ("states", "gradients"):
        values = [getattr(result, name) for result in (found, expected, exact)]
        if values[0] is None:
            continue
        apart, rounding = _apart(values[0], values[1]), _apart(values[1], values[2])
        allowed = max(least, ROUNDINGS * rounding)
        if not apart <= allowed:
            return f"{name} differ from those of {whose} by {apart:.1g} of their size, more than {allowed:.1g}"
    return ""


def _fault(backbone: torch.nn.Module, packed: Batch, padded: Batch, compute: Compute) -> str:
    backbone.eval()
    expected = run_backbone(backbone, padded, compute)
    found = run_backbone(backbone, packed, compute)
    exact = expected if compute.dtype == torch.float32 else run_backbone(backbone, padded, None)
    fault = difference(found, expected, exact, next(backbone.parameters()).dtype, "padded batches")
    if fault:
        return fault
    if found.gradients is not None:
        backbone.train()
        trained = run_backbone(backbone, packed, compute)
        if trained.gradients is None or not torch.isfinite(trained.gradients).all():
            return "gradients in training are not finite"
    return ""


def _apart(first: torch.Tensor, second: torch.Tensor) -> float:
    """The norm of the difference by the norm of the second."""
    return float((first - second).norm() / second.norm())


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """TF32 rounds float32 products to 10 bits, which would hide a fault or look like one."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
