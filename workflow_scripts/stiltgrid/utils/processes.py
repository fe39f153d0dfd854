"""Helpers for processes that start other processes."""

import os
import signal
from collections.abc import Mapping

THREAD_VARIABLES = ("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")  # fmt: skip


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies, even by SIGKILL. Linux only."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the request
        os._exit(1)


def process_count(environment: Mapping[str, str] = os.environ) -> int:
    """Number of processes of this job, from the variables that the launcher sets."""
    return int(environment.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in environment else 1
