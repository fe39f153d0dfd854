"""Where a run's lines go: a terminal with a progress line below them, or a file; and what jobs write to stderr."""

import contextlib
import os
import select
import threading
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

STDERR = 2
TICK = 1.0  # seconds between two looks at the clock
PLAIN_SECONDS = 60.0  # between two lines of progress in a file


class Screen:
    """Lines for a file: no control characters, and a line of progress once a minute at most."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self._said_at: float | None = None

    def show(self, text: str) -> None:
        """Write a text and end its line."""
        self.file.write(text.rstrip("\n") + "\n")
        self.file.flush()

    def progress(self, line: Callable[[], str], now: float, changed: bool) -> None:
        """Write a line of progress where something has `changed` and the last one is old enough."""
        if self._said_at is None:
            self._said_at = now
        if changed and now - self._said_at >= PLAIN_SECONDS:
            self._said_at = now
            self.show(line())

    def clear(self) -> None:
        """Nothing remains of the progress."""


class Terminal(Screen):
    """Lines for a terminal, above a progress line that is drawn anew."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self._bar: Any = None

    def show(self, text: str) -> None:
        """Write a text above the progress line."""
        tqdm.write(text.rstrip("\n"), file=self.file)
        self.file.flush()

    def progress(self, line: Callable[[], str], now: float, changed: bool) -> None:
        """Draw the progress line."""
        if self._bar is None:
            self._bar = tqdm(file=self.file, bar_format="{desc}", dynamic_ncols=True, leave=False)
        self._bar.set_description_str(line())

    def clear(self) -> None:
        """Remove the progress line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class JobOutput:
    """Takes what this process and its children write to file descriptor 2, line by line, in a thread of its own.

    `take` gets each line, `tick` is called once a second. `end` gives the descriptor back and takes what is left.
    """

    def __init__(self, take: Callable[[str], None], tick: Callable[[], None]) -> None:
        self._take, self._tick = take, tick
        self._saved = os.dup(STDERR)
        self._reader, writer = os.pipe()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._reader, False)
        os.dup2(writer, STDERR)
        os.close(writer)
        self._rest = b""
        self._thread = threading.Thread(target=self._read, name="job output", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Give file descriptor 2 back; lines that were written before are taken first. Harmless the second time."""
        if self._saved < 0:
            return
        os.dup2(self._saved, STDERR)
        os.write(self._waker, b"x")
        self._thread.join(timeout=10)
        os.close(self._saved)
        self._saved = -1

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._reader, self._wake], [], [], TICK)
            self._drain()
            if self._wake in ready:
                self._lines(b"\n" if self._rest else b"")
                return
            with contextlib.suppress(Exception):
                self._tick()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 1 << 16):
                self._lines(data)

    def _lines(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            try:
                self._take(line.decode(errors="replace"))
            except Exception:  # a line must not be lost, and jobs must not wait for a reader that has died
                os.write(self._saved, line + b"\n")
