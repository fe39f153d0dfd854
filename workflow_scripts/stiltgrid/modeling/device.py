"""The device and the precision that a job computes in."""

import contextlib
import os
from dataclasses import dataclass

import torch

from stiltgrid.modeling.gpu_lease import lease_gpu, visible_gpus
from stiltgrid.modeling.gpu_slots import lease_share, slots_per_gpu
from stiltgrid.utils.processes import process_count


@dataclass(frozen=True)
class Compute:
    """A device, and the dtype of matrix products and of stored weights."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context of mixed precision; does nothing where the dtype is float32."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def prepare_compute(precision: str = "auto", threads: int | None = None) -> Compute:
    """Set threads and deterministic kernels, and choose the device.

    `precision` is auto, bf16 or fp32; auto is bf16 on GPUs that support it.
    """
    if threads:
        torch.set_num_threads(threads)
    # Moments of rarely seen tokens decay to denormal numbers, which processors handle very slowly.
    torch.set_flush_denormal(True)
    if not torch.cuda.is_available():
        return Compute(torch.device("cpu"), torch.bfloat16 if precision == "bf16" else torch.float32)
    # A member of a process group was assigned its GPU when it joined.
    if "SLURM_JOB_ID" not in os.environ and process_count() == 1:
        _choose_gpu(visible_gpus(torch.cuda.device_count()))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = True
    half = precision == "bf16" or (precision == "auto" and torch.cuda.is_bf16_supported())
    return Compute(torch.device("cuda"), torch.bfloat16 if half else torch.float32)


def _choose_gpu(names: list[str]) -> None:
    """Lease one of several GPUs, or a share of one with its memory limited to that share."""
    if slots_per_gpu() > 1:
        share = lease_share(names, lambda place: torch.cuda.get_device_properties(place).total_memory >> 20)
        torch.cuda.set_device(share.place)
        torch.cuda.set_per_process_memory_fraction(share.memory)
    elif len(names) > 1:
        torch.cuda.set_device(lease_gpu(names))
