"""Keeps memory that a process has freed, so that it need not ask the kernel for it again."""

import ctypes
import os
from collections.abc import Mapping

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 2**30  # bytes: larger blocks go back to the kernel when they are freed
VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Let glibc keep freed blocks of up to 1 GiB; returns whether it does.

    By default glibc maps every block above 32 MiB anew and gives it back when it is freed. A training step on a CPU
    frees and allocates such blocks all the time, and each comes back as pages that the kernel has to fill with zeros.
    Other C libraries, and users who set one of `VARIABLES`, keep what they have.
    """
    if any(name in environment for name in VARIABLES):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 (raises AttributeError where the library is another)
        mallopt = library.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))
