"""CUDA graphs on a CPU: records the operations under autograd, and replays them into the same memory.

As in a CUDA graph, numbers that Python computed are those of the recording, tensors are where they were, and an
operation that the host must wait for is an error. What was there before a recording is as it was after it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from waiting import waits


def _tensors(values: Any) -> list[torch.Tensor]:
    return [item for item in tree_leaves(values) if isinstance(item, torch.Tensor)]


class NotRecordable(Exception):
    """An operation that a CUDA graph cannot hold."""


class Tape(TorchDispatchMode):
    """The operations of a function, in order, each with its arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self._made: set[int] = set()  # addresses of memory that the function itself has made
        self._before: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if name := waits(function, args):
            raise NotRecordable(name)
        if function._schema.is_mutable:
            self._note((args, kwargs))
        found = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, found))
        known = {item.untyped_storage().data_ptr() for item in _tensors((args, kwargs))}
        self._made |= {item.untyped_storage().data_ptr() for item in _tensors(found)} - known
        return found

    def _note(self, arguments: Any) -> None:
        """Remember what an operation may overwrite."""
        for item in _tensors(arguments):
            if item.untyped_storage().data_ptr() not in self._made:
                self._before.append((item, item.detach().clone()))

    @torch.no_grad()
    def undo(self) -> None:
        """Restore what was there before the recording."""
        for item, value in reversed(self._before):
            item.copy_(value)
        self._before.clear()

    @torch.no_grad()
    def replay(self) -> None:
        """Compute everything again, into the tensors of the recording."""
        for function, args, kwargs, found in self.calls:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapeRecorder:
    """Takes the place of `CudaRecorder`; counts the replays and keeps the recordings as `tapes`."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.replays = 0

    def warm_up(self, function: Callable[[], object]) -> None:
        """Run a function once."""
        function()

    def record(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        """A function's result and its replay."""
        tape = Tape()
        with tape:
            result = function()
        tape.undo()
        self.tapes.append(tape)

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return result, replay
