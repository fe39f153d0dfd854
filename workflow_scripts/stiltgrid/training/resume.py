"""Saves the state of a running job at intervals and finds it again when the same job is started anew.

There is one safetensors file a job under `results/resume/`, named after the job and a digest of everything that its
result depends on. A job whose code, parameters, inputs or versions have changed has another digest, so it never
continues from a state that it could not have computed itself. Sums may be rounded in another way with another number
of threads, so a resumed job computes with the number that it began with, whatever `--cores` gives it now.

On SIGTERM and SIGUSR1 (a scheduler's warnings) the state is saved before the next step, or at once during an
evaluation, and the job ends; its next attempt resumes.
"""

import contextlib
import hashlib
import json
import logging
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from stiltgrid.grid.params import as_params
from stiltgrid.training.process_group import SINGLE_PROCESS, ProcessGroup
from stiltgrid.training.saved_state import SavedState, checksum
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.files import atomic_path
from stiltgrid.utils.processes import process_count
from stiltgrid.utils.provenance import describe_device, versions

FOLDER = Path("results/resume")
SUFFIX = ".safetensors"
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
SAVE_SECONDS = 600.0
logger = logging.getLogger(__name__)


class Interrupted(StiltgridError):
    """A job was stopped by a signal; the message says whether its state is saved."""


def job_digest(job: Any) -> str:
    """Digest of what a job's result depends on: rule, wildcards, params (code included), inputs, versions.

    `job` is the `snakemake` object of a script. Inputs count by path, size and modification time; the device counts
    too. Threads do not: see `StateSaver.threads`.
    """
    files = [(str(path), Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in job.input]
    facts = {
        "rule": job.rule,
        "wildcards": dict(job.wildcards.items()),
        "inputs": files,
        "params": as_params(dict(job.params.items())),
        "versions": versions(),
        **describe_device(),
        **({"processes": process_count()} if process_count() > 1 else {}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def job_state_saver(job: Any, folder: Path = FOLDER) -> "StateSaver":
    """The state saver of a script's job; its resource `save_seconds` is the interval, 0 saves nothing.

    Removes files that an earlier version of the same job has left.
    """
    seconds = float(job.resources.get("save_seconds", SAVE_SECONDS))
    name = ",".join(str(value) for value in job.wildcards)
    path = folder / job.rule / f"{name}.{job_digest(job)}{SUFFIX}"
    pattern = re.compile(rf"\.?{re.escape(name)}\.[0-9a-f]{{16}}{re.escape(SUFFIX)}(\.\d+\.partial)?")
    for other in path.parent.glob(f"*{name}.*") if path.parent.is_dir() else ():
        if other != path and pattern.fullmatch(other.name):
            logger.info("%s: removed; it is the state of an earlier version of this job or half written", other)
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)
    return StateSaver(path if seconds > 0 else None, seconds)


class StateSaver:
    """Saves and loads the state of one job. Without a path it does neither, and signals have their usual effect."""

    def __init__(self, path: Path | None = None, seconds: float = SAVE_SECONDS) -> None:
        self.path, self.seconds = path, seconds
        self.group: ProcessGroup = SINGLE_PROCESS
        self._received: int | None = None
        self._stop_at_once = False
        self._saved_at = time.monotonic()
        self._threads: int | None = None

    def threads(self, given: int) -> int:
        """The number of threads to compute with: that of the saved state, or `given` where there is none.

        States that are saved from now on name this number.
        """
        self._threads = given
        if self.path is not None and self.path.is_file():
            with contextlib.suppress(Exception), safe_open(self.path, framework="pt") as file:  # `load` reports damage
                self._threads = int(json.loads(file.metadata()["facts"])["threads"])
        if self._threads != given:
            logger.info("resumes with the %d threads that it began with, not the %d given now", self._threads, given)
        return self._threads

    def load(self) -> SavedState | None:
        """The saved state, or None where there is none; a damaged file is reported, removed and not used."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                facts = json.loads(file.metadata()["facts"])
            if facts["checksum"] != checksum(tensors):
                raise ValueError("its checksum does not match")
        except Exception as error:  # safetensors raises its own kinds
            logger.warning("%s: damaged state is not used (%s); this job starts from its beginning", self.path, error)
            self.path.unlink(missing_ok=True)
            return None
        return SavedState(tensors, facts["facts"])

    def save(self, state: SavedState) -> bool:
        """Replace the saved state; False (and a warning) where it cannot be written."""
        return self.path is not None and self.group.on_first(lambda: self._write(state))

    def _write(self, state: SavedState) -> bool:
        assert self.path is not None
        facts = json.dumps({"facts": state.facts, "checksum": checksum(state.tensors), "threads": self._threads})
        try:
            with atomic_path(self.path) as temporary:
                save_file(state.tensors, temporary, {"facts": facts})
        except Exception as error:  # a full disk comes as safetensors' own kind
            logger.warning("%s: state not saved (%s); training continues", self.path, error)
            return False
        finally:
            self._saved_at = time.monotonic()
        return True

    def remove(self) -> None:
        """Delete the state once the job's output is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()

    @contextlib.contextmanager
    def catch_signals(self) -> Iterator[None]:
        """Handle the signals that ask a job to stop."""
        if self.path is None:
            yield
            return
        earlier = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def before_step(self, state: Callable[[], SavedState]) -> None:
        """Save if the interval has passed; raises Interrupted, with the state saved, after a signal."""
        if self.path is None:
            return
        due = time.monotonic() - self._saved_at >= self.seconds
        # Each of several processes has its own clock and receives its own signals, but all must act alike.
        wanted = self.group.maximum(self._received or int(due))
        if wanted > 1:
            self._received = wanted
            self._stop(state)
        elif wanted:
            self.save(state())
            self._saved_at = time.monotonic()

    @contextlib.contextmanager
    def interruptible(self, state: Callable[[], SavedState]) -> Iterator[None]:
        """Wrap work that leaves the state unchanged: a signal then stops it at once.

        Several processes must stop together, so they finish the work and stop before their next step.
        """
        if self.group.size > 1:
            yield
            return
        self._stop_at_once = True
        try:
            if self._received is not None:
                raise _SignalReceived
            yield
        except _SignalReceived:
            self._stop_at_once = False
            self._stop(state)
        finally:
            self._stop_at_once = False

    def _handle(self, number: int, _: Any) -> None:
        self._received = number
        if self._stop_at_once:
            self._stop_at_once = False
            raise _SignalReceived

    def _stop(self, state: Callable[[], SavedState]) -> None:
        assert self._received is not None
        name = signal.Signals(self._received).name
        saved = self.save(state())
        raise Interrupted(
            f"stopped by {name}; "
            + (f"state saved in {self.path}: the next attempt resumes from it" if saved else "state could not be saved")
        )


class _SignalReceived(Interrupted):
    """Raised by the signal handler during interruptible work."""
