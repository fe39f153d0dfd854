"""Exclusive leases of GPUs on machines where no scheduler assigns them: one lock file per GPU.

The kernel releases a lock when its process ends, however it ends, so a crashed job never keeps a GPU. The locks are
`flock`'s own because `gpu_slots` needs shared ones: `filelock` offers these by an SQLite database only.
"""

import fcntl
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_TRIES = 2.0
SLURM, OTHER_SCHEDULERS = "SLURM_JOB_ID", ("PBS_JOBID", "LSB_JOBID")  # variables of their jobs
Lease = TypeVar("Lease")
_held: dict[str, IO[str]] = {}  # GPU's name -> its locked file, open until this process ends


def visible_gpus(count: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the `count` GPUs that this process sees, the same in every process: indices or unique ids."""
    listed = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return listed if len(listed) == count else [str(number) for number in range(count)]


def assigned(names: Sequence[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a scheduler has assigned these GPUs to this job alone, so that none is to be leased.

    SLURM assigns all that a job sees. PBS and LSF may show each job its one GPU as number 0, and two jobs on one node
    would wait for each other; several are taken for those of an allocation in which many jobs run.
    """
    if SLURM in environment:
        return True
    return len(names) == 1 and names[0].isdecimal() and any(name in environment for name in OTHER_SCHEDULERS)


def lease_gpu(names: Sequence[str], folder: Path | None = None, patience: float = float("inf")) -> int:
    """Index in `names` of a GPU that no other job of this user holds; see `lease_gpus`."""
    return lease_gpus(names, 1, folder, patience)[0]


def lease_gpus(
    names: Sequence[str], count: int, folder: Path | None = None, patience: float = float("inf")
) -> list[int]:
    """Indices in `names` of `count` GPUs that no other job of this user holds; waits until enough are free.

    While it waits a job holds none, so two jobs never wait for each other. A later call in the same process returns
    the GPUs that it already holds.

    Raises:
        TimeoutError: after `patience` seconds.
    """
    folder = Path(folder or tempfile.gettempdir())
    return wait_for(
        lambda: _lease_all(names, count, folder),
        patience,
        f"fewer than {count} of {len(names)} GPUs are free of other jobs "
        f"(--resources gpu={len(names)} starts no more jobs than there are GPUs)",
    )


def wait_for(attempt: Callable[[], Lease | None], patience: float, shortage: str) -> Lease:
    """Call `attempt` until it returns something; raises TimeoutError with `shortage` after `patience` seconds."""
    end, logged = time.monotonic() + patience, False
    while True:
        found = attempt()
        if found is not None:
            return found
        if time.monotonic() >= end:
            raise TimeoutError(shortage)
        if not logged:
            LOG.info("waiting: %s", shortage)
            logged = True
        # Jittered: two jobs that both need several locks must not retry in step for ever.
        pause = SECONDS_BETWEEN_TRIES * random.uniform(0.5, 1.0)
        time.sleep(min(pause, max(0.0, end - time.monotonic())))


def lock_path(folder: Path, name: str) -> Path:
    """The lock file of a GPU for this user's jobs."""
    return folder / f"stiltgrid-gpu-{os.getuid()}-{name}.lock"


def try_lock(path: Path, shared: bool = False) -> IO[str] | None:
    """An open file that holds the lock until it is closed, or None where another process holds it."""
    file = path.open("a")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _lease_all(names: Sequence[str], count: int, folder: Path) -> list[int] | None:
    found = [index for index, name in enumerate(names) if name in _held][:count]
    locked: dict[str, IO[str]] = {}
    for index, name in enumerate(names):
        if len(found) == count:
            break
        if index not in found and (file := try_lock(lock_path(folder, name))) is not None:
            found.append(index)
            locked[name] = file
    if len(found) < count:
        for file in locked.values():
            file.close()
        return None
    _held.update(locked)
    return found
