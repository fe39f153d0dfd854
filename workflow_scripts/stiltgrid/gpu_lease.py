"""One GPU a job on a machine with several, where no scheduler hands them out: a lock file for each.

The kernel drops a lock when its process ends, however it ends, so no GPU stays taken by the dead.
"""

import fcntl
import logging
import os
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
    """The place in `names` of a GPU that no other job of this user holds; waits until there is one.

    Raises TimeoutError after `patience` seconds. A second call in one process gives the GPU it has.
    """
    folder = Path(folder or tempfile.gettempdir())
    end, waited = time.monotonic() + patience, False
    while True:
        for place, name in enumerate(names):
            if name in _held or _take(folder / f"stiltgrid-gpu-{os.getuid()}-{name}.lock", name):
                return place
        if time.monotonic() >= end:
            raise TimeoutError(f"all {len(names)} GPUs are taken")
        if not waited:
            LOG.info(
                "all %d GPUs work for other jobs; waiting for one (--resources gpu=%d avoids this)",
                len(names),
                len(names),
            )
            waited = True
        time.sleep(min(SECONDS_BETWEEN_TRIES, max(0.0, end - time.monotonic())))


def _take(path: Path, name: str) -> bool:
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _held[name] = file
    return True
