"""Data-parallel training: several processes, one a GPU, each computes its share of the examples of every step.

All processes hold the same weights, optimizer state and position in the data, and take the same steps. Gradients are
summed over the processes, and every decision (to save state, to stop, to cut smaller micro-batches) is taken by all.
A step therefore has the examples that a single process would give it, and only the first process writes the result.
`accelerate` forms the process group; it is imported only where there are several processes. `launcher` starts them.
"""

import atexit
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch

from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.processes import process_count

Value = TypeVar("Value")
BUCKET = 1 << 24  # numbers that one all-reduce sums
TIMEOUT = timedelta(hours=2)  # of processes that wait for the first one to evaluate or to save


class ProcessGroup:
    """A single process: it computes every share and decides alone."""

    rank, size = 0, 1

    def share(self, examples: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """This process's part of the examples of a step; `lengths` are their lengths in tokens."""
        return examples

    def on_first(self, make: Callable[[], Value]) -> Value:
        """Call `make` in the first process and return its result in every process."""
        return make()

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        return [value]

    def maximum(self, value: int) -> int:
        """The largest value over the processes."""
        return value

    def sum_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Sum the gradients over the processes, in place."""

    def sum(self, value: torch.Tensor, counts: Sequence[int]) -> tuple[torch.Tensor, list[int]]:
        """A tensor and some counts, each summed over the processes."""
        return value, list(counts)

    def check_equal(self, value: Any, description: str) -> None:
        """Raises StiltgridError where the processes hold different values."""
        found = self.gather(value)
        if any(other != found[0] for other in found):
            raise StiltgridError(
                f"the {self.size} processes of this job differ in {description}: {found}; run it again"
            )


SINGLE_PROCESS = ProcessGroup()


class DistributedGroup(ProcessGroup):
    """One of several processes in `accelerate`'s process group; counts and objects go through gloo, not the GPUs."""

    def __init__(self) -> None:
        from accelerate import PartialState

        state = PartialState(cpu=not torch.cuda.is_available(), timeout=TIMEOUT)
        self.rank, self.size = state.process_index, state.num_processes
        self._gloo = torch.distributed.new_group(backend="gloo", timeout=TIMEOUT)
        atexit.register(state.destroy_process_group)

    def share(self, examples: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Examples dealt out by length in a zigzag, so that shares have about as many tokens; in the step's order."""
        return zigzag_share(examples, lengths, self.rank, self.size)

    def on_first(self, make: Callable[[], Value]) -> Value:
        """The result of `make` in the first process; a StiltgridError that it raises is raised in every process."""
        held: list[Any] = [None, None]
        if self.rank == 0:
            try:
                held[0] = make()
            except StiltgridError as error:
                held[1] = error
        torch.distributed.broadcast_object_list(held, src=0, group=self._gloo)
        if held[1] is not None:
            raise held[1]
        return held[0]  # type: ignore[no-any-return]

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value, group=self._gloo)
        return found

    def maximum(self, value: int) -> int:
        """The largest value over the processes."""
        held = torch.tensor([value])
        torch.distributed.all_reduce(held, torch.distributed.ReduceOp.MAX, group=self._gloo)
        return int(held)

    def sum_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Sum the gradients over the processes; a parameter that has none in any process keeps none."""
        reached = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
        torch.distributed.all_reduce(reached, group=self._gloo)
        bucket: list[torch.Tensor] = []
        for parameter, count in zip(parameters, reached.tolist(), strict=True):
            if not count:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if bucket and sum(item.numel() for item in bucket) + parameter.numel() > BUCKET:
                _sum_in_place(bucket)
                bucket = []
            bucket.append(parameter.grad)
        if bucket:
            _sum_in_place(bucket)

    def sum(self, value: torch.Tensor, counts: Sequence[int]) -> tuple[torch.Tensor, list[int]]:
        """A tensor and some counts, each summed over the processes."""
        from accelerate.utils import reduce

        held = torch.tensor(list(counts))
        torch.distributed.all_reduce(held, group=self._gloo)
        return reduce(value, reduction="sum"), held.tolist()


def zigzag_share(examples: np.ndarray, lengths: np.ndarray, rank: int, size: int) -> np.ndarray:
    """The examples of process `rank` of `size`: sorted by length, dealt out forwards and backwards in turn."""
    places = np.argsort(-lengths, kind="stable")
    turn = np.arange(len(places)) % (2 * size)
    return examples[np.sort(places[(turn == rank) | (turn == 2 * size - 1 - rank)])]


def _sum_in_place(tensors: Sequence[torch.Tensor]) -> None:
    from accelerate.utils import reduce

    flat = reduce(torch.cat([item.reshape(-1) for item in tensors]), reduction="sum")
    for item, part in zip(tensors, flat.split([item.numel() for item in tensors]), strict=True):
        item.copy_(part.view_as(item))


def join_process_group() -> ProcessGroup:
    """The group that this process was started in, or `SINGLE_PROCESS`."""
    return DistributedGroup() if process_count() > 1 else SINGLE_PROCESS
