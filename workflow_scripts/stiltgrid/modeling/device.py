"""The device and the precision that a job computes in."""

import contextlib
import os
from dataclasses import dataclass

import torch
import torch.utils.deterministic

from stiltgrid.modeling.gpu_lease import assigned, lease_gpu, visible_gpus
from stiltgrid.modeling.gpu_slots import lease_share, slots_per_gpu
from stiltgrid.modeling.precision import AUTO, BF16, FP32, ModelPrecision
from stiltgrid.utils.processes import process_count


@dataclass(frozen=True)
class Compute:
    """A device, and the dtype of matrix products and of stored weights."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self, cached: bool = True) -> contextlib.AbstractContextManager[object]:
        """A context of mixed precision; does nothing where the dtype is float32.

        Weights in lower precision are kept from one operation to the next if `cached`.
        """
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype, cache_enabled=cached)


def prepare_compute(precision: str = AUTO, threads: int | None = None, model: ModelPrecision | None = None) -> Compute:
    """Set threads and deterministic kernels, and choose the device.

    `precision` is auto, bf16 or fp32. With a `model`, auto is what the first of its jobs has chosen (see `precision`);
    without one it is bf16 on GPUs that support it and fp32 on CPUs.
    """
    if threads:
        torch.set_num_threads(threads)
    # Moments of rarely seen tokens decay to denormal numbers, which processors handle very slowly.
    torch.set_flush_denormal(True)
    if not torch.cuda.is_available():
        if precision == AUTO:
            precision = FP32 if model is None else model.on_cpu()
        return Compute(torch.device("cpu"), _dtype(precision))
    # A member of a process group was assigned its GPU when it joined.
    if process_count() == 1:
        names = visible_gpus(torch.cuda.device_count())
        if not assigned(names):
            _choose_gpu(names)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Would write every new tensor twice; results depend on none that is read before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = True
    if precision == AUTO:
        has_bf16 = torch.cuda.is_bf16_supported()
        precision = (BF16 if has_bf16 else FP32) if model is None else model.on_gpu(has_bf16)
    return Compute(torch.device("cuda"), _dtype(precision))


def _dtype(precision: str) -> torch.dtype:
    return torch.bfloat16 if precision == BF16 else torch.float32


def _choose_gpu(names: list[str]) -> None:
    """Lease a GPU, the only one too, or a share of one with its memory limited to that share."""
    if slots_per_gpu() > 1:
        share = lease_share(names, lambda place: torch.cuda.get_device_properties(place).total_memory >> 20)
        torch.cuda.set_device(share.place)
        torch.cuda.set_per_process_memory_fraction(share.memory)
    else:
        torch.cuda.set_device(lease_gpu(names))
