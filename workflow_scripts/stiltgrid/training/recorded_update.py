"""The end of an optimizer step, clipping and AdamW, as a CUDA graph; and gradients that stay where graphs find them."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

import torch

from stiltgrid.modeling.optimizers import hold_rates
from stiltgrid.modeling.pass_graphs import Recorder

LOG = logging.getLogger(__name__)


class KeptGradients:
    """Gradients in the same memory in all steps of a task; those of weights that the task does not reach are None.

    `shared` are gradients that all tasks have in common, by weight.
    """

    def __init__(
        self, parameters: Sequence[torch.nn.Parameter], shared: dict[torch.nn.Parameter, torch.Tensor]
    ) -> None:
        self.parameters, self.shared = parameters, shared
        self._of_task: dict[int, dict[torch.nn.Parameter, torch.Tensor]] = {}

    def clear(self, which: int) -> None:
        """Before the gradients of a step of task number `which` are computed."""
        own = self._of_task.get(which, self.shared)
        torch._foreach_zero_(list(own.values()))
        for parameter in self.parameters:
            parameter.grad = own.get(parameter)

    def keep(self, which: int) -> bool:
        """After the gradients of a task's step are there; False where it reaches other weights than its first step."""
        found = {item: item.grad for item in self.parameters if item.grad is not None}
        return self._of_task.setdefault(which, found).keys() == found.keys()


class RecordedUpdate:
    """Clips gradients and takes the optimizers' steps; from the third step of a task on it replays a recording.

    The first step creates the optimizers' state, the second is recorded; a replay computes exactly what they compute.
    Only AdamW is recorded: Muon reads its rates on the host. Where recording fails, a warning says so and updates run
    without graphs.
    """

    def __init__(
        self,
        optimizers: Sequence[torch.optim.Optimizer],
        parameters: Sequence[torch.nn.Parameter],
        recorder: Recorder | None,
    ) -> None:
        every = all(isinstance(optimizer, torch.optim.AdamW) for optimizer in optimizers)
        self.optimizers, self.parameters, self.recorder = optimizers, parameters, recorder if every else None
        if every and (recorder is not None or parameters[0].is_cuda):  # a tensor rounds rates: with or without graphs
            for optimizer in optimizers:
                hold_rates(optimizer)
        self._seen: set[int] = set()
        self._recorded: dict[int, tuple[torch.Tensor, Callable[[], None]]] = {}

    def __call__(self, which: int, max_norm: float) -> torch.Tensor:
        """Update the weights after a step of task number `which`; the norm of all gradients, before clipping.

        The next call overwrites the norm.
        """
        if self.recorder is not None and which in self._seen and which not in self._recorded:
            self._record(which, max_norm, self.recorder)
        self._seen.add(which)
        if which not in self._recorded:
            return self._update(max_norm)
        norm, replay = self._recorded[which]
        replay()
        return norm

    def _record(self, which: int, max_norm: float, recorder: Recorder) -> None:
        try:
            with self._capturable():
                self._recorded[which] = recorder.record(lambda: self._update(max_norm))
        except Exception as error:  # CUDA and PyTorch raise many kinds
            self.stop(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")

    def stop(self, reason: str) -> None:
        """Replay nothing any more, which changes no number."""
        if self.recorder is not None:
            LOG.warning("weights are updated without CUDA graphs: %s", reason)
        self.recorder = None
        self._recorded.clear()

    @contextlib.contextmanager
    def _capturable(self) -> Iterator[None]:
        """AdamW asks for this in a recording and warns of it elsewhere; its fused step is the same in both."""
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group in groups:
            group["capturable"] = True
        try:
            yield
        finally:
            for group in groups:
                group["capturable"] = False

    def _update(self, max_norm: float) -> torch.Tensor:
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, max_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        return norm
