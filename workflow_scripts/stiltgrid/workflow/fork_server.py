"""Forking parents for local jobs: import once, fork a child per job.

Importing torch and transformers costs seconds of CPU, more than most jobs of a small grid compute. A *nursery* is
a process that has imported one kind of job's libraries, computes nothing, and forks a child for each job. The child
runs the very script file that a fresh interpreter would have run, with the same environment, in the same process
group.

The main process hands over a job through one end of a socket pair. The child inherits nothing but imported modules;
its exit status comes back through the pair. When the main process goes away in any manner, the nursery ends its
children and itself; when the nursery goes away, its jobs are nobody's, and the main process is told so.
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
from pathlib import Path
from typing import Any, NoReturn

from stiltgrid.utils.processes import THREAD_VARIABLES, die_with

# pandas is here because pyarrow loads it at the first conversion of Python values.
COMMON = (
    "numpy", "pyarrow.compute", "pyarrow.dataset", "pyarrow.parquet", "pandas", "snakemake.iocontainers",
    "snakemake.io", "snakemake.logging",
)  # fmt: skip
PRELOAD: Mapping[str, tuple[str, ...]] = {
    "data": (*COMMON, "tokenizers"),
    "torch": (
        *COMMON, "tokenizers", "torch", "torch._dynamo", "safetensors.torch",
        "transformers.models.auto.modeling_auto", "transformers.models.xlm_roberta.modeling_xlm_roberta",
    ),
    "tables": (
        *COMMON, "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
        "PIL.PngImagePlugin", "PIL.JpegImagePlugin",
    ),
}  # fmt: skip


class Job:
    """A forked job, seen from the main process."""

    def __init__(self, channel: socket.socket) -> None:
        """Raises ValueError when the nursery does not answer with the job's process id."""
        with channel:
            self._replies = channel.makefile("r")
        self.pid = int(self._replies.readline())

    def wait(self) -> int | None:
        """The exit status (negative: the signal that ended it); None when the nursery died and nobody knows."""
        with self._replies:
            answer = self._replies.readline()
        return int(answer) if answer.endswith("\n") else None


class Nursery:
    """One forking process, seen from the main process; started by the first job that needs it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._broken = False

    def begin(self, script: str, threads: int, resources: Any) -> Job | None:
        """Hand a script over; None when that fails, for whatever reason: the caller then runs it itself."""
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
    """The nursery's own life: import, then fork a child for each socket that comes in, until the far end closes."""
    inherited = signal.getsignal(signal.SIGINT)
    interrupted: list[int] = []
    if inherited is not signal.SIG_IGN:  # ctrl-C goes to the whole process group: children obey it, no more are born
        signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    control = socket.socket(fileno=int(descriptor))
    for name in PRELOAD.get(kind, ()):
        with contextlib.suppress(Exception):  # a missing library is the job's to complain about
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    wake_in, wake_out = socket.socketpair()
    wake_out.setblocking(False)
    wake_in.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_out.fileno(), warn_on_full_buffer=False)
    children: dict[int, socket.socket] = {}
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
                    _end(children)
                for received in descriptors:
                    channel = socket.socket(fileno=received)
                    pid = _fork(channel, [control, wake_in, wake_out, *children.values()], inherited, interrupted)
                    children[pid] = channel
                    selector.register(channel, selectors.EVENT_READ, data=pid)
            elif key.data in children:  # after its request, only the end of the far side makes a channel readable
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
        _reap(children, selector)


def _fork(channel: socket.socket, others: Sequence[socket.socket], on_interrupt: Any, interrupted: list[int]) -> int:
    """Read a job's request, fork the process that runs it, tell the far side its id."""
    with channel.makefile("r") as requests:
        request = requests.readline()
    nursery = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, on_interrupt)
        if interrupted:
            os._exit(128 + signal.SIGINT)
        for other in (channel, *others):
            other.close()
        _child(json.loads(request), nursery)
    with contextlib.suppress(OSError):
        channel.sendall(f"{pid}\n".encode())
    return pid


def _reap(children: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        channel = children.pop(pid)
        with contextlib.suppress(KeyError):
            selector.unregister(channel)
        with contextlib.suppress(OSError), channel:
            channel.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _end(children: Mapping[int, socket.socket]) -> NoReturn:
    """The run is over: no child may outlive it."""
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _child(request: Mapping[str, Any], nursery: int) -> NoReturn:
    """Become the job: take over its environment, run its script, leave as an interpreter would."""
    status = 1
    try:
        die_with(nursery)
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
    """What a new interpreter would have drawn or read anew: random states and numbers of threads."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
