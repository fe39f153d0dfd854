"""Starts a job's script in several processes, one a GPU, and ends them together, as `accelerate launch` does.

Every process runs the script of the job and finds the others through the environment variables of torch.distributed.
All processes end with the first one that fails, and with the launching process, even where that is killed outright.
On a machine without GPUs the processes share the CPU, which is for tests. `torch.distributed.launcher` (torchrun) is
no substitute: it kills processes that take more than 30 s to save their state, takes those 30 s to end the others
after a failure, and leaves them running when it is killed itself.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stiltgrid.modeling.gpu_lease import assigned, lease_gpus, visible_gpus
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.processes import THREAD_VARIABLES, die_with

LAUNCHER = "STILTGRID_LAUNCHER"
FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
POLL_SECONDS = 0.2
GRACE_SECONDS = 5.0  # for the other processes to report errors of their own once one has failed


def is_worker() -> bool:
    """Whether `launch` has started this process; if so, it will end with the launching process."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None:
        return False
    if sys.platform == "linux":
        die_with(int(launcher))
    return True


def requested_processes(resources: Any) -> int:
    """The number of processes of a job: one for each GPU that it asks for."""
    return int(resources.get("gpu", 1) or 1)


def launch(command: Sequence[str], count: int, threads: int) -> None:
    """Run a command in `count` processes; raises StiltgridError when one fails, after it has printed its own error."""
    environment = _environment(count, threads)
    workers = [
        subprocess.Popen(command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
    earlier = {
        number: signal.signal(number, lambda received, _: _forward(workers, received)) for number in FORWARDED_SIGNALS
    }
    try:
        rank, status = _wait(workers)
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if status:
        raise StiltgridError(f"process {rank + 1} of {count} ended with status {status}; its error is printed above")


def _wait(workers: Sequence["subprocess.Popen[bytes]"]) -> tuple[int, int]:
    """Rank and status of the first process that failed; (0, 0) when all have finished."""
    while True:
        found = [worker.poll() for worker in workers]
        failed = [(rank, status) for rank, status in enumerate(found) if status]
        if failed:
            end = time.monotonic() + GRACE_SECONDS
            while any(worker.poll() is None for worker in workers) and time.monotonic() < end:
                time.sleep(POLL_SECONDS)
            return failed[0]
        if None not in found:
            return 0, 0
        time.sleep(POLL_SECONDS)


def _forward(workers: Sequence["subprocess.Popen[bytes]"], number: int) -> None:
    for worker in workers:
        worker.send_signal(number)


def _environment(count: int, threads: int) -> dict[str, str]:
    """The variables by which the processes find one another, their threads and their GPUs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    size, each = str(count), str(max(1, threads // count))
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, each),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        LAUNCHER: str(os.getpid()),
        **_gpus(count),
    }


def _gpus(count: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The GPUs that the processes may see: those that the scheduler assigned, or `count` that no other job holds."""
    import torch

    seen = torch.cuda.device_count()
    if not seen:
        return {}
    if seen < count:
        raise StiltgridError(f"the job asks for {count} GPUs (resource `gpu`), but this machine shows {seen}")
    names = visible_gpus(seen, environment)
    if assigned(names, environment):
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[place] for place in lease_gpus(names, count))}


def script_command() -> list[str]:
    """The command that runs the present script again in a new interpreter."""
    return [sys.executable, sys.argv[0]]
