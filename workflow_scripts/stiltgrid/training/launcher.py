"""Starts a job's script in several processes, one a GPU, and looks after them: what `accelerate launch` does.

The processes run the very script that was to run, find one another through the environment that torch and
`accelerate` read, and end together: with the first that fails, and with this process, however it ends. Where there is
no GPU they are processes of the CPU, which is for tests.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stiltgrid.modeling.gpu_lease import lease_gpus, visible_gpus
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.processes import THREAD_VARIABLES, die_with

STARTER = "STILTGRID_STARTER"
FORWARDED = (signal.SIGTERM, signal.SIGUSR1)
SECONDS_BETWEEN_LOOKS = 0.2
GRACE = 5.0  # seconds that processes have to say what they know once one of them has failed


def is_member() -> bool:
    """Whether this process was started by `run_together`; it then ends with its starter."""
    starter = os.environ.get(STARTER)
    if starter is None:
        return False
    if sys.platform == "linux":
        die_with(int(starter))
    return True


def wanted(resources: Any) -> int:
    """How many GPUs, so how many processes, a job has asked for."""
    return int(resources.get("gpu", 1) or 1)


def run_together(command: Sequence[str], count: int, threads: int) -> None:
    """Run `count` processes of a command; StiltgridError when one of them fails (it has said why)."""
    environment = _environment(count, threads)
    members = [
        subprocess.Popen(command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
    earlier = {number: signal.signal(number, lambda told, _: _tell(members, told)) for number in FORWARDED}
    try:
        rank, status = _wait(members)
    finally:
        for member in members:
            member.kill()
        for member in members:
            member.wait()
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if status:
        raise StiltgridError(f"process {rank + 1} of {count} ended with status {status}; its words are above")


def _wait(members: Sequence["subprocess.Popen[bytes]"]) -> tuple[int, int]:
    """The first process that failed and its status; (0, 0) when all have done their work."""
    while True:
        found = [member.poll() for member in members]
        failed = [(rank, status) for rank, status in enumerate(found) if status]
        if failed:
            end = time.monotonic() + GRACE
            while any(member.poll() is None for member in members) and time.monotonic() < end:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            return failed[0]
        if None not in found:
            return 0, 0
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _tell(members: Sequence["subprocess.Popen[bytes]"], number: int) -> None:
    for member in members:
        member.send_signal(number)


def _environment(count: int, threads: int) -> dict[str, str]:
    """What processes must know to find one another and, each, its GPU."""
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
        STARTER: str(os.getpid()),
        **_gpus(count),
    }


def _gpus(count: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The GPUs that the processes will see: those that a scheduler gave, or so many that no other job holds."""
    import torch

    seen = torch.cuda.device_count()
    if not seen:
        return {}
    if seen < count:
        raise StiltgridError(f"the job asks for {count} GPUs (resource `gpu`), but {seen} can be seen here")
    if "SLURM_JOB_ID" in environment:
        return {}
    names = visible_gpus(seen, environment)
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[place] for place in lease_gpus(names, count))}


def this_script() -> list[str]:
    """The command that runs the present script again in an interpreter of its own."""
    return [sys.executable, sys.argv[0]]
