"""The local cluster as tests see it: what runs, and how to harm it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

LOCAL_CLUSTER = Path(__file__).parent / "local-cluster"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Submission:
    """One line of the queue."""

    number: str
    state: str
    partition: str
    gpus: str
    processors: str
    limit: str
    rule: str


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `env` is the environment of its clients."""

    folder: Path
    env: dict[str, str]

    def call(self, *command: str) -> str:
        """Output of a client command."""
        return subprocess.run(command, env=self.env, text=True, capture_output=True, check=True, timeout=60).stdout

    def queue(self) -> list[Submission]:
        """Every submission that the cluster still knows, with the comment that names rule and wildcards."""
        columns = "jobid:|,state:|,partition:|,tres-per-job:|,numcpus:|,timelimit:|,comment:200"
        lines = self.call("squeue", "--states=all", "--noheader", "--Format", columns).splitlines()
        return [Submission(*line.strip().split("|", 6)) for line in lines]

    def running(self, rule: str) -> Submission | None:
        """The running submission whose comment contains `rule`."""
        return next((job for job in self.queue() if job.state == "RUNNING" and rule in job.rule), None)

    def ended(self) -> list[dict[str, str]]:
        """What the cluster recorded of every ended submission; one that was put back comes more than once."""
        log = self.folder / "log" / "jobcomp.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [dict(pair.split("=", 1) for pair in line.split() if "=" in pair) for line in lines]

    def state(self) -> str:
        """What the scheduler knows, for the message of a test that fails."""
        said = []
        for command in (["squeue", "--states=all", "--Format", "jobid,state,reason,comment:90"], ["sinfo", "--long"]):
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                said.append(self.call(*command))
        ended = "\n".join(f"{job.get('JobId')} {job.get('JobState')}" for job in self.ended())
        return "\n".join([*said, f"ended:\n{ended}"])

    def clear(self) -> None:
        """Cancel whatever is left, so that nothing outlives the test that submitted it."""
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            left = [job.number for job in self.queue() if job.state in ("PENDING", "RUNNING", "SUSPENDED")]
            if left:
                self.call("scancel", *left)

    def crash_node(self, job: str) -> None:
        """End slurmd and every process of a submission at once, as a loss of power does."""
        os.kill(int((self.folder / "run" / "slurmd.pid").read_text()), signal.SIGKILL)
        for pid in self._processes(job, with_daemon=True):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def send(self, job: str, number: signal.Signals) -> None:
        """A signal to all of a submission's own processes: SIGSTOP, so that it cannot finish before its limit."""
        for pid in self._processes(job):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def boot_node(self) -> None:
        """Start slurmd again."""
        env = {key: value for key, value in self.env.items() if not key.startswith("SLURM_JOB")}
        env["PATH"] = f"{env['PATH']}:/usr/sbin:/sbin"
        command = ["slurmd", "-N", "localhost", "-f", str(self.folder / "etc" / "slurm.conf")]
        with (self.folder / "log" / "start.log").open("ab") as log:
            subprocess.run(command, env=env, check=True, timeout=60, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _processes(self, job: str, with_daemon: bool = False) -> Iterator[int]:
        """Processes of a submission, by their environment; slurmstepd, which looks after them, by its name."""
        conf = f"SLURM_CONF={self.folder}/etc/slurm.conf"
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                values = (place / "environ").read_bytes().decode(errors="replace").split("\0")
                name = (place / "cmdline").read_bytes().decode(errors="replace")
                daemon = name.startswith("slurmstepd")
                if conf in values and (
                    (with_daemon and name.startswith(f"slurmstepd: [{job}."))
                    or (not daemon and f"SLURM_JOB_ID={job}" in values)
                ):
                    yield int(place.name)


class Patience:
    """Time for a whole course of events, and what to show when it is over."""

    def __init__(self, seconds: float, state: Callable[[], str]) -> None:
        self.end, self.state = time.monotonic() + seconds, state

    @property
    def left(self) -> float:
        """Seconds that remain, at least one."""
        return max(1.0, self.end - time.monotonic())

    def wait_for(self, what: str, condition: Callable[[], Found | None]) -> Found:
        """The condition's first true value; AssertionError with the state of things when it does not come in time."""
        while time.monotonic() < self.end:
            if value := condition():
                return value
            time.sleep(0.1)
        raise AssertionError(f"still waiting for {what} when time was up\n{self.state()}")
