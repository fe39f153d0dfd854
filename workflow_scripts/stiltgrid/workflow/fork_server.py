"""Fork servers for local jobs: libraries are imported once, and every job is a fork of that process.

Importing torch and transformers takes seconds of CPU time, more than most jobs of a small grid compute. A fork server
has imported the libraries of one kind of job, computes nothing itself, and forks a worker process for each job. The
worker runs the same script file that a new interpreter would have run, with the same environment, in the same process
group.

The main process sends each job over one end of a socket pair and receives the exit status through it. A worker
inherits nothing but imported modules. When the main process ends, however it ends, the server kills its workers and
exits; when the server ends, its workers are killed and the main process learns that their status is unknown.
"""

import atexit
import contextlib
import gc
import importlib
import json
import logging
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from stiltgrid.utils.processes import THREAD_VARIABLES, die_with

# pandas is here because pyarrow loads it at the first conversion of Python values.
COMMON = (
    "numpy", "pyarrow.compute", "pyarrow.dataset", "pyarrow.parquet", "pandas", "snakemake.iocontainers",
    "snakemake.io", "snakemake.logging", "stiltgrid.workflow.job_runner",
)  # fmt: skip
# Modules by the rule's environment file (`conda: "../envs/data.yaml"`): what most of its jobs import. Those of `data`
# must not import huggingface_hub, which reads once whether it may reach the network.
PRELOAD: Mapping[str, tuple[str, ...]] = {
    "data": (*COMMON, "tokenizers", "stiltgrid.preparation.encode", "stiltgrid.preparation.prepare"),
    "training": (
        *COMMON, "tokenizers", "torch", "torch._dynamo", "safetensors.torch",
        "transformers.models.auto.modeling_auto", "transformers.models.xlm_roberta.modeling_xlm_roberta",
        "stiltgrid.evaluation.scoring", "stiltgrid.training.training",
    ),
    "analysis": (
        *COMMON, "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf",
        "matplotlib.backends.backend_svg", "PIL.PngImagePlugin", "PIL.JpegImagePlugin",
        "stiltgrid.analysis.significance", "stiltgrid.reporting.page.page", "stiltgrid.reporting.plots",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a worker has ended: its exit status (negative: the signal), its largest memory in MB, its CPU seconds."""

    status: int
    peak_mb: float
    cpu_seconds: float


class Job:
    """A job's worker process, seen from the main process."""

    def __init__(self, channel: socket.socket) -> None:
        """Raises ValueError when the fork server does not answer with the worker's process id."""
        with channel:
            self._replies = channel.makefile("r")
        self.pid = int(self._replies.readline())

    def wait(self) -> Ended | None:
        """How the worker has ended; None where the fork server died, so it is unknown."""
        with self._replies:
            answer = self._replies.readline()
        if not answer.endswith("\n"):
            return None
        status, peak, seconds = answer.split()
        return Ended(int(status), float(peak), float(seconds))


class ForkServer:
    """A fork server, seen from the main process. It starts with the first job that needs it."""

    def __init__(self, kind: str) -> None:
        """`kind` is a key of PRELOAD; any other preloads nothing."""
        self.kind = kind
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._broken = False

    def start_job(self, script: str, threads: int, resources: Any) -> Job | None:
        """Run a script in a worker process; None where that fails for whatever reason, and then for all later jobs."""
        request = {"script": script, "cwd": str(Path.cwd()), "environment": _environment(threads, resources),
                   "threads": threads}  # fmt: skip
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                if self._broken:
                    raise OSError
                self._control = self._control or self._start()
                socket.send_fds(self._control, [b"j"], [theirs.fileno()])
            ours.sendall(json.dumps(request).encode() + b"\n")
            return Job(ours)
        except (OSError, ValueError):
            ours.close()
            self._broken = True
            return None

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        code = (
            "import sys; sys.path.append(sys.argv[1]); "
            "from stiltgrid.workflow.fork_server import serve; serve(*sys.argv[2:])"
        )
        command = [sys.executable, "-P", "-c", code, str(Path(__file__).resolve().parents[2]), self.kind]
        with theirs:
            subprocess.Popen(
                [*command, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                env={**_environment(1, {}), "HF_HUB_OFFLINE": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"},
            )  # fmt: skip
        return ours


def _environment(threads: int, resources: Any) -> dict[str, str]:
    """The environment that Snakemake gives to a shell command."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    folder = resources.get("tmpdir")
    if folder:
        environment.update(dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), str(folder)))
    return environment


def serve(kind: str, descriptor: str) -> NoReturn:
    """Run a fork server: import, then fork a worker for each socket that is received, until the other end closes."""
    inherited = signal.getsignal(signal.SIGINT)
    interrupted: list[int] = []
    if inherited is not signal.SIG_IGN:  # ctrl-C reaches the whole process group: workers end, and no more are started
        signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    control = socket.socket(fileno=int(descriptor))
    for name in PRELOAD.get(kind, ()):
        with contextlib.suppress(Exception):  # a missing library is reported by the job that needs it
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    wake_in, wake_out = socket.socketpair()
    wake_out.setblocking(False)
    wake_in.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_out.fileno(), warn_on_full_buffer=False)
    workers: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(wake_in, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is wake_in:
                with contextlib.suppress(BlockingIOError):
                    wake_in.recv(4096)
            elif key.fileobj is control:
                message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
                if not message:
                    _end(workers)
                for received in descriptors:
                    channel = socket.socket(fileno=received)
                    pid = _fork(channel, [control, wake_in, wake_out, *workers.values()], inherited, interrupted)
                    workers[pid] = channel
                    selector.register(channel, selectors.EVENT_READ, data=pid)
            elif key.data in workers:  # after the request, a channel is readable only when its other end has closed
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
        _reap(workers, selector)


def _fork(channel: socket.socket, others: Sequence[socket.socket], on_interrupt: Any, interrupted: list[int]) -> int:
    """Read a job's request, fork the worker that runs it, send its process id back."""
    with channel.makefile("r") as requests:
        request = requests.readline()
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, on_interrupt)
        if interrupted:
            os._exit(128 + signal.SIGINT)
        for other in (channel, *others):
            other.close()
        _work(json.loads(request), server)
    with contextlib.suppress(OSError):
        channel.sendall(f"{pid}\n".encode())
    return pid


def _reap(workers: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    while workers:
        pid, status, used = os.wait4(-1, os.WNOHANG)
        if pid == 0:
            return
        channel = workers.pop(pid)
        with contextlib.suppress(KeyError):
            selector.unregister(channel)
        with contextlib.suppress(OSError), channel:
            peak, seconds = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
            channel.sendall(f"{os.waitstatus_to_exitcode(status)} {peak:.2f} {seconds:.3f}\n".encode())


def _end(workers: Mapping[int, socket.socket]) -> NoReturn:
    """End with all workers, because the run has ended."""
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _work(request: Mapping[str, Any], server: int) -> NoReturn:
    """Run a job in the forked process: set its environment, run its script, exit as an interpreter would."""
    status = 1
    try:
        die_with(server)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = [request["script"]]
        _fresh_state(request["threads"])
        runpy.run_path(request["script"], run_name="__main__")
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads as the interpreter's end does
        atexit._run_exitfuncs()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _fresh_state(threads: int) -> None:
    """Set what a new interpreter would start with: random states and numbers of threads."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
