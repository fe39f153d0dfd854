"""A job's resumable state: saved every so often beside Snakemake's outputs, found again by the very same job.

One safetensors file a job under `results/resume/`, named by the job and by a digest of all that its result
depends on. A job whose code, parameters, inputs, threads or versions changed has another digest, so it never
picks up what it could not have computed itself. On SIGTERM and SIGUSR1 (a scheduler's warnings) the state is
saved at the next step, or at once while nothing changes, and the job ends; its next attempt goes on from there.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import signal
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from stiltgrid.grid.params import as_params
from stiltgrid.training.process_group import ALONE, Team
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
    """A job that was told to stop; the message says whether its state is saved."""


@dataclass(frozen=True)
class SavedState:
    """Tensors by name, and facts that JSON can hold."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def below(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names start with `prefix`, under the rest of their names."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}


def job_digest(job: Any) -> str:
    """What a job's result depends on: rule, wildcards, params (code among them), inputs, threads, versions, device.

    `job` is the `snakemake` object of a script. Inputs count by path, size and time of change.
    """
    files = [(str(path), Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in job.input]
    facts = {
        "rule": job.rule,
        "wildcards": dict(job.wildcards.items()),
        "threads": job.threads,
        "inputs": files,
        "params": as_params(dict(job.params.items())),
        "versions": versions(),
        **describe_device(),
        **({"processes": process_count()} if process_count() > 1 else {}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def job_keeper(job: Any, folder: Path = FOLDER) -> "Keeper":
    """The keeper of a script's job. Its resource `save_seconds` says how often state is saved; 0 is never.

    Removes what an earlier version of the same job has left.
    """
    seconds = float(job.resources.get("save_seconds", SAVE_SECONDS))
    name = ",".join(str(value) for value in job.wildcards)
    path = folder / job.rule / f"{name}.{job_digest(job)}{SUFFIX}"
    pattern = re.compile(rf"\.?{re.escape(name)}\.[0-9a-f]{{16}}{re.escape(SUFFIX)}(\.\d+\.partial)?")
    for other in path.parent.glob(f"*{name}.*") if path.parent.is_dir() else ():
        if other != path and pattern.fullmatch(other.name):
            logger.info("%s: left by this job before it changed or was killed; removed", other)
            other.unlink(missing_ok=True)
    return Keeper(path if seconds > 0 else None, seconds)


class Keeper:
    """Saves and brings back one job's state. Without a path it does neither, and signals end the job as ever."""

    def __init__(self, path: Path | None = None, seconds: float = SAVE_SECONDS) -> None:
        self.path, self.seconds = path, seconds
        self.team: Team = ALONE
        self._told: int | None = None
        self._at_once = False
        self._saved_at = time.monotonic()

    def load(self) -> SavedState | None:
        """The saved state, or None where there is none; a damaged one is named, removed and not used."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                facts = json.loads(file.metadata()["facts"])
            if facts["checksum"] != checksum(tensors):
                raise ValueError("its checksum is another")
        except Exception as error:  # safetensors raises its own kinds
            logger.warning("%s: damaged state is not used (%s); this job starts from its beginning", self.path, error)
            self.path.unlink(missing_ok=True)
            return None
        return SavedState(tensors, facts["facts"])

    def save(self, state: SavedState) -> bool:
        """Write the state in place of the last one; False (and a warning) where that cannot be done."""
        return self.path is not None and self.team.first(lambda: self._write(state))

    def _write(self, state: SavedState) -> bool:
        assert self.path is not None
        facts = json.dumps({"facts": state.facts, "checksum": checksum(state.tensors)})
        try:
            with atomic_path(self.path) as temporary:
                save_file(state.tensors, temporary, {"facts": facts})
        except Exception as error:  # a full disk comes as safetensors' own kind
            logger.warning("%s: state not saved (%s); training goes on", self.path, error)
            return False
        finally:
            self._saved_at = time.monotonic()
        return True

    def remove(self) -> None:
        """The job's output is complete: its state has served."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Listen for the signals that ask a job to stop."""
        if self.path is None:
            yield
            return
        earlier = {number: signal.signal(number, self._hear) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def after_step(self, state: Callable[[], SavedState]) -> None:
        """Save when it is time to; raises Interrupted, with the state saved, when the job was told to stop."""
        if self.path is None:
            return
        due = time.monotonic() - self._saved_at >= self.seconds
        # Of several processes each has its own clock and its own signals: what one must do, all do.
        wish = self.team.largest(self._told or int(due))
        if wish > 1:
            self._told = wish
            self._stop(state)
        elif wish:
            self.save(state())
            self._saved_at = time.monotonic()

    @contextlib.contextmanager
    def pause(self, state: Callable[[], SavedState]) -> Iterator[None]:
        """Around work that changes nothing that a state holds: a signal then stops it at once.

        Not where several processes must stop together: they do so before their next step.
        """
        if self.team.size > 1:
            yield
            return
        self._at_once = True
        try:
            if self._told is not None:
                raise _Heard
            yield
        except _Heard:
            self._at_once = False
            self._stop(state)
        finally:
            self._at_once = False

    def _hear(self, number: int, _: Any) -> None:
        self._told = number
        if self._at_once:
            self._at_once = False
            raise _Heard

    def _stop(self, state: Callable[[], SavedState]) -> None:
        assert self._told is not None
        name = signal.Signals(self._told).name
        saved = self.save(state())
        raise Interrupted(
            f"stopped by {name}; "
            + (
                f"state saved in {self.path}: the next attempt goes on from there"
                if saved
                else "state could not be saved"
            )
        )


class _Heard(Interrupted):
    """A signal came while nothing needed finishing."""


def random_state() -> dict[str, torch.Tensor]:
    """The states of torch's generators; all other draws of a job come from seeds of their own."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():  # the job's own device only: asking others would take memory of theirs
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(states: Mapping[str, torch.Tensor]) -> None:
    """Bring torch's generators back."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """An optimiser's moments and counts by `parameter.name`; rates are set anew at each step."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Bring an optimiser's moments and counts back."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@torch.no_grad()
def restore_parameters(parameters: Sequence[torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> None:
    """Bring weights back, by number."""
    for number, parameter in enumerate(parameters):
        parameter.copy_(tensors[str(number)])


def numbered(prefix: str, tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by `prefix` and number, as a state holds them."""
    return {f"{prefix}{number}": value.detach() for number, value in enumerate(tensors)}


def checksum(tensors: Mapping[str, torch.Tensor]) -> int:
    """CRC-32 of names and bytes."""
    found = 0
    for name in sorted(tensors):
        data = tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        found = zlib.crc32(data.data, zlib.crc32(name.encode(), found))
    return found


def state_files(folder: str | os.PathLike[str] = FOLDER) -> list[Path]:
    """Every saved state, half-written ones included."""
    return sorted(path for path in Path(folder).rglob(f"*{SUFFIX}*") if path.is_file())
