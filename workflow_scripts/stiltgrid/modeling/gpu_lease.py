"""One GPU a job on a machine with several, where no scheduler hands them out: a lock file for each.

The kernel drops a lock when its process ends, however it ends, so no GPU stays taken by the dead.
"""

import fcntl
import logging
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_TRIES = 2.0
_held: dict[str, IO[str]] = {}  # open for as long as this process lives


def visible_gpus(count: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the `count` GPUs that this process sees, the same in every process: numbers or unique ids."""
    told = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return told if len(told) == count else [str(number) for number in range(count)]


def lease_gpu(names: Sequence[str], folder: Path | None = None, patience: float = float("inf")) -> int:
    """The place in `names` of a GPU that no other job of this user holds; see `lease_gpus`."""
    return lease_gpus(names, 1, folder, patience)[0]


def lease_gpus(
    names: Sequence[str], count: int, folder: Path | None = None, patience: float = float("inf")
) -> list[int]:
    """The places in `names` of `count` GPUs that no other job of this user holds; waits until there are so many.

    A job holds all that it needs or none while it waits, so that two jobs never wait for one another.
    Raises TimeoutError after `patience` seconds. A second call in one process gives the GPUs it has.
    """
    folder = Path(folder or tempfile.gettempdir())
    end, waited = time.monotonic() + patience, False
    while True:
        found = _take_all(names, count, folder)
        if found is not None:
            return found
        if time.monotonic() >= end:
            raise TimeoutError(f"not {count} of {len(names)} GPUs are free")
        if not waited:
            LOG.info(
                "not %d of %d GPUs are free of other jobs; waiting (--resources gpu=%d avoids this)",
                count,
                len(names),
                len(names),
            )
            waited = True
        # Not all at the same moment: two jobs that want several might give way to each other for ever.
        pause = SECONDS_BETWEEN_TRIES * random.uniform(0.5, 1.0)
        time.sleep(min(pause, max(0.0, end - time.monotonic())))


def _take_all(names: Sequence[str], count: int, folder: Path) -> list[int] | None:
    found = [place for place, name in enumerate(names) if name in _held][:count]
    taken: list[str] = []
    for place, name in enumerate(names):
        if len(found) == count:
            break
        if place not in found and _take(folder / f"stiltgrid-gpu-{os.getuid()}-{name}.lock", name):
            found.append(place)
            taken.append(name)
    if len(found) == count:
        return found
    for name in taken:
        _held.pop(name).close()
    return None


def _take(path: Path, name: str) -> bool:
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _held[name] = file
    return True
