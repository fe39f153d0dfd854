"""Several small jobs on one GPU: each GPU is divided into equal slots, and a job takes as many as its memory needs.

How many slots a GPU has is a resource of the job (`gpu_slots`; 1 unless set: a job has its GPU to itself), because it
changes no result. A job's memory is its resource `gpu_mb`, else what it asks of a cluster as `mem_mb`. A job that
needs more than a slot takes several of one GPU, and all of them when that is not enough.
"""

import fcntl
import logging
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

LOG = logging.getLogger(__name__)
SLOTS, MEGABYTES = "STILTGRID_GPU_SLOTS", "STILTGRID_GPU_MB"
SECONDS_BETWEEN_TRIES = 2.0
_held: list[IO[str]] = []  # open for as long as this process lives


@dataclass(frozen=True)
class Share:
    """A GPU's place among those visible, and the share of its memory that the job may use."""

    place: int
    memory: float


def announce(resources: Any, environment: MutableMapping[str, str] = os.environ) -> None:
    """Tell the job of this process, through its environment, what its resources say about sharing."""
    slots = int(resources.get("gpu_slots", 1) or 1)
    environment[SLOTS] = str(slots)
    needed = resources.get("gpu_mb") or resources.get("mem_mb") or 0
    environment[MEGABYTES] = str(needed) if str(needed).isdigit() else "0"


def slots_a_gpu(environment: Mapping[str, str] = os.environ) -> int:
    """How many jobs may share a GPU."""
    return max(1, int(environment.get(SLOTS, "1")))


def slots_needed(slots: int, megabytes: int, total: int) -> int:
    """Slots for a job of so many megabytes on a GPU of `total`: at least one, at most all."""
    return min(slots, max(1, math.ceil(megabytes * slots / total)))


def lease_share(
    names: Sequence[str],
    total: Callable[[int], int],
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    patience: float = float("inf"),
) -> Share:
    """A share of the GPU with the most free slots among `names`; waits until one has enough of them.

    `total` tells the megabytes of the GPU at a place. Locks are those of `gpu_lease`, held in common by jobs that
    share, so a job that wants a whole GPU and one that wants a slot keep out of each other's way. Raises TimeoutError
    after `patience` seconds.
    """
    slots, megabytes = slots_a_gpu(environment), int(environment.get(MEGABYTES, "0"))
    folder, end, waited = Path(folder or tempfile.gettempdir()), time.monotonic() + patience, False
    while True:
        shares = [_Slots(folder, name, slots) for name in names]
        # The emptiest first, so that jobs spread over the GPUs before they share.
        for place in sorted(range(len(names)), key=lambda place: -shares[place].count_free()):
            needed = slots_needed(slots, megabytes, total(place))
            if shares[place].take(needed):
                return Share(place, needed / slots)
        if time.monotonic() >= end:
            raise TimeoutError(f"no GPU of {len(names)} has enough of its {slots} slots free")
        if not waited:
            LOG.info("no GPU of %d has enough of its %d slots free; waiting", len(names), slots)
            waited = True
        # Not all at the same moment: two jobs that want several slots might give way to each other for ever.
        time.sleep(min(SECONDS_BETWEEN_TRIES * random.uniform(0.5, 1.0), max(0.0, end - time.monotonic())))


class _Slots:
    """The lock files of one GPU: its own, held in common, and one a slot."""

    def __init__(self, folder: Path, name: str, slots: int) -> None:
        base = folder / f"stiltgrid-gpu-{os.getuid()}-{name}"
        self.whole = Path(f"{base}.lock")
        self.parts = [Path(f"{base}-slot{number}.lock") for number in range(slots)]

    def count_free(self) -> int:
        """Slots that nobody holds at this moment."""
        files = [_locked(path) for path in self.parts]
        for file in files:
            if file is not None:
                file.close()
        return sum(file is not None for file in files)

    def take(self, needed: int) -> bool:
        """Hold `needed` slots from now on, or nothing."""
        found = [_locked(self.whole, fcntl.LOCK_SH)]
        for path in self.parts if found[0] is not None else ():
            if len(found) <= needed:
                found += [file for file in [_locked(path)] if file is not None]
        files = [file for file in found if file is not None]
        if len(files) == needed + 1:
            _held.extend(files)
            return True
        for file in files:
            file.close()
        return False


def _locked(path: Path, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
    file = path.open("a")
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
