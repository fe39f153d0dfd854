"""Several processes that train one model together, one a GPU: each computes its share of every step's examples.

All of them hold the same weights, moments and places in the data, and take the same steps: gradients are summed
over the processes, and whatever one decides (to save, to stop, to cut micro-batches) all decide. So a step has the
examples that one process would give it, and what is written is what one process would write. `accelerate` brings the
processes together; it is imported where there are several. `crew.py` starts them.
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
BUCKET = 1 << 24  # numbers that are summed over the processes at a time
PATIENCE = timedelta(hours=2)  # of processes that wait for one that scores or saves


class Team:
    """A process alone: it has every share, and decides for itself."""

    rank, size = 0, 1

    def share(self, examples: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """This process's part of a step's examples."""
        return examples

    def first(self, make: Callable[[], Value]) -> Value:
        """What the first process makes; the others wait for it."""
        return make()

    def all(self, value: Value) -> list[Value]:
        """Everyone's value, in the order of the processes."""
        return [value]

    def largest(self, value: int) -> int:
        """The largest of everyone's values."""
        return value

    def sum_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Add up everyone's gradients, in place."""

    def sum(self, value: torch.Tensor, counts: Sequence[int]) -> tuple[torch.Tensor, list[int]]:
        """Everyone's values and counts added up."""
        return value, list(counts)

    def agree(self, value: Any, about: str) -> None:
        """Raises StiltgridError where the processes have come to different values."""
        found = self.all(value)
        if any(other != found[0] for other in found):
            raise StiltgridError(f"the {self.size} processes of this job differ in {about}: {found}; run it again")


ALONE = Team()


class Crew(Team):
    """One of several processes, in `accelerate`'s process group; small things travel beside it, without the GPUs."""

    def __init__(self) -> None:
        from accelerate import PartialState

        state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
        self.rank, self.size = state.process_index, state.num_processes
        self._small = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)
        atexit.register(state.destroy_process_group)

    def share(self, examples: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Dealt by length, back and forth, so that shares cost about the same; in the step's order."""
        places = np.argsort(-lengths, kind="stable")
        turn = np.arange(len(places)) % (2 * self.size)
        return examples[np.sort(places[(turn == self.rank) | (turn == 2 * self.size - 1 - self.rank)])]

    def first(self, make: Callable[[], Value]) -> Value:
        """What the first process makes, or the error that it meets."""
        held: list[Any] = [None, None]
        if self.rank == 0:
            try:
                held[0] = make()
            except StiltgridError as error:
                held[1] = error
        torch.distributed.broadcast_object_list(held, src=0, group=self._small)
        if held[1] is not None:
            raise held[1]
        return held[0]  # type: ignore[no-any-return]

    def all(self, value: Value) -> list[Value]:
        """Everyone's value, in the order of the processes."""
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value, group=self._small)
        return found

    def largest(self, value: int) -> int:
        """The largest of everyone's values."""
        held = torch.tensor([value])
        torch.distributed.all_reduce(held, torch.distributed.ReduceOp.MAX, group=self._small)
        return int(held)

    def sum_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Add up everyone's gradients; a parameter that no one's share has reached keeps none."""
        reached = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
        torch.distributed.all_reduce(reached, group=self._small)
        bucket: list[torch.Tensor] = []
        for parameter, count in zip(parameters, reached.tolist(), strict=True):
            if not count:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if bucket and sum(item.numel() for item in bucket) + parameter.numel() > BUCKET:
                self._sum_in_place(bucket)
                bucket = []
            bucket.append(parameter.grad)
        if bucket:
            self._sum_in_place(bucket)

    def _sum_in_place(self, tensors: Sequence[torch.Tensor]) -> None:
        from accelerate.utils import reduce

        flat = reduce(torch.cat([item.reshape(-1) for item in tensors]), reduction="sum")
        for item, part in zip(tensors, flat.split([item.numel() for item in tensors]), strict=True):
            item.copy_(part.view_as(item))

    def sum(self, value: torch.Tensor, counts: Sequence[int]) -> tuple[torch.Tensor, list[int]]:
        """Everyone's values and counts added up."""
        from accelerate.utils import reduce

        held = torch.tensor(list(counts))
        torch.distributed.all_reduce(held, group=self._small)
        return reduce(value, reduction="sum"), held.tolist()


def join_team() -> Team:
    """The team that this process belongs to; itself alone where it was started alone."""
    return Crew() if process_count() > 1 else ALONE
