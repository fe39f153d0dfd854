"""Several small jobs on one GPU: each GPU is divided into equal slots, and a job takes as many as its memory needs.

The number of slots per GPU is a resource of the job (`gpu_slots`; default 1, a GPU of its own), because it changes no
result. A job's memory is its resource `gpu_mb`, or else the `mem_mb` that it requests from a cluster. A job that
needs more than one slot takes several of the same GPU, at most all of them.
"""

import math
import os
import tempfile
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stiltgrid.modeling.gpu_lease import lock_path, try_lock, wait_for

SLOTS, MEGABYTES = "STILTGRID_GPU_SLOTS", "STILTGRID_GPU_MB"
_held: list[IO[str]] = []  # locked files, open until this process ends


@dataclass(frozen=True)
class Share:
    """Index of a GPU among the visible ones, and the fraction of its memory that the job may use."""

    place: int
    memory: float


def announce(resources: Any, environment: MutableMapping[str, str] = os.environ) -> None:
    """Put a job's resources for GPU sharing into its process's environment, where `lease_share` reads them."""
    slots = int(resources.get("gpu_slots", 1) or 1)
    environment[SLOTS] = str(slots)
    needed = resources.get("gpu_mb") or resources.get("mem_mb") or 0
    environment[MEGABYTES] = str(needed) if str(needed).isdigit() else "0"


def slots_per_gpu(environment: Mapping[str, str] = os.environ) -> int:
    """How many jobs may share a GPU."""
    return max(1, int(environment.get(SLOTS, "1")))


def slots_needed(slots: int, megabytes: int, total: int) -> int:
    """Slots for a job of `megabytes` on a GPU of `total` megabytes: at least one, at most all."""
    return min(slots, max(1, math.ceil(megabytes * slots / total)))


def lease_share(
    names: Sequence[str],
    total: Callable[[int], int],
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    patience: float = float("inf"),
) -> Share:
    """A share of the GPU with the most free slots among `names`; waits until one has enough of them.

    `total` returns the memory in megabytes of the GPU with an index. Sharing jobs hold the GPU's lock of `gpu_lease`
    in shared mode, which excludes jobs that lease a whole GPU.

    Raises:
        TimeoutError: after `patience` seconds.
    """
    slots, megabytes = slots_per_gpu(environment), int(environment.get(MEGABYTES, "0"))
    gpus = [_Slots(Path(folder or tempfile.gettempdir()), name, slots) for name in names]

    def attempt() -> Share | None:
        # The emptiest first, so that jobs spread over the GPUs before they share one.
        free = [gpu.count_free() for gpu in gpus]
        for place in sorted(range(len(names)), key=lambda place: -free[place]):
            needed = slots_needed(slots, megabytes, total(place))
            if gpus[place].take(needed):
                return Share(place, needed / slots)
        return None

    return wait_for(attempt, patience, f"none of {len(names)} GPUs has enough of its {slots} slots free")


class _Slots:
    """The lock files of one GPU: its own, which sharing jobs hold in shared mode, and one per slot."""

    def __init__(self, folder: Path, name: str, slots: int) -> None:
        self.whole = lock_path(folder, name)
        self.slots = [self.whole.with_name(f"{self.whole.stem}-slot{number}.lock") for number in range(slots)]

    def count_free(self) -> int:
        """Number of slots that no process holds at this moment."""
        files = [file for path in self.slots if (file := try_lock(path)) is not None]
        for file in files:
            file.close()
        return len(files)

    def take(self, needed: int) -> bool:
        """Hold `needed` slots until the process ends, or none; whether they were free."""
        whole = try_lock(self.whole, shared=True)
        files = [] if whole is None else [whole]
        for path in self.slots if files else ():
            if len(files) <= needed and (file := try_lock(path)) is not None:
                files.append(file)
        if len(files) == needed + 1:
            _held.extend(files)
            return True
        for file in files:
            file.close()
        return False
