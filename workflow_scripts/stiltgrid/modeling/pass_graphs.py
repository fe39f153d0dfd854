"""CUDA graphs: a backbone's forward and backward passes over few tokens, recorded once and replayed.

With few tokens a GPU ends each operation before its host has launched the next one. Replaying a graph launches all
operations of a pass at once (PyTorch's documentation, "CUDA Graphs"). A graph has fixed shapes, so packed batches are
filled up to one of a few sizes with sequences whose states are never read: their gradient is zero. Heads and losses,
whose shapes differ, run as they do without graphs. `torch.cuda.make_graphed_callables` would hold gradients of all
weights for every size; here all sizes add to the same ones.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.batching import Batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.graph_sizes import GraphSizes
from stiltgrid.modeling.packing import Packing, pack

Result = TypeVar("Result")
WARM_UPS = 3  # passes before a recording, as PyTorch's documentation asks: libraries set themselves up in them


class Recorder(Protocol):
    """Records what a function asks of the device."""

    def warm_up(self, function: Callable[[], object]) -> None:
        """Run a function that is to be recorded a few times."""

    def record(self, function: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """A function's result, and what computes it again from the same inputs, into the same memory."""


class CudaRecorder:
    """Records CUDA graphs that share their memory: they must be replayed one after another.

    It keeps them all, also those that failed: a graph that is deleted frees workspaces that the others use.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()
        self._graphs: list[torch.cuda.CUDAGraph] = []

    def warm_up(self, function: Callable[[], object]) -> None:
        """Run a function on the stream that recordings use. Raises RuntimeError where it waits for the device."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS - 1):
                function()
            with _without_waiting():
                function()
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, function: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """See `Recorder`; nothing is computed before the first replay."""
        graph = torch.cuda.CUDAGraph()
        self._graphs.append(graph)
        current = torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                result = function()
        except Exception as error:
            torch.cuda.set_stream(current)  # which torch does not do where a recording cannot be ended
            raise error.__context__ or error from None
        return result, graph.replay


@contextlib.contextmanager
def _without_waiting() -> Iterator[None]:
    """Operations that make the host wait for the GPU raise errors: they would spoil a recording."""
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


class PassGraphs:
    """Recorded passes of a backbone for packed batches; other batches are passed to the backbone.

    Replays add to `gradients`, by weight, which stay in place; weights that a pass does not reach are not among them.
    They are the weights' own after `clear_gradients`.
    """

    def __init__(self, backbone: Backbone, compute: Compute, sizes: GraphSizes, token: int, recorder: Recorder) -> None:
        """Record a graph for each size, the largest first. `token` is an id that the backbone can read.

        Recording raises many types of errors where a backbone's operations do not allow it.
        """
        self.backbone, self.compute, self.sizes, self.token = backbone, compute, sizes, token
        self.recorder = recorder
        self.gradients = self._reached()
        self._anchor = torch.zeros((), device=compute.device, requires_grad=True)
        self._graphs = {tokens: self._record(tokens) for tokens in reversed(sizes.tokens)}

    def __call__(self, batch: Batch) -> torch.Tensor:
        """(1, tokens, hidden): the states of a packed batch, by the smallest graph that it fits into.

        They are overwritten by the next call, and must be differentiated before it.
        """
        tokens = self._size(batch)
        if tokens is None or batch.packing is None:
            states: torch.Tensor = self.backbone(batch)
            return states
        graph = self._graphs[tokens]
        graph.inputs.load(batch, pack(self.sizes.filled(batch.packing.lengths, tokens)))
        found: torch.Tensor = _Replayed.apply(self._anchor, graph, batch.real_tokens)
        return found

    def filling(self, batch: Batch) -> int:
        """The tokens with which a batch is filled up."""
        tokens = self._size(batch)
        return 0 if tokens is None else tokens - batch.real_tokens

    def clear_gradients(self) -> None:
        """Set all gradients to zero, and make them those of the weights."""
        torch._foreach_zero_(list(self.gradients.values()))
        for parameter, gradient in self.gradients.items():
            parameter.grad = gradient

    def _size(self, batch: Batch) -> int | None:
        return None if batch.packing is None else self.sizes.fitting(batch.packing.lengths)

    def _reached(self) -> dict[torch.nn.Parameter, torch.Tensor]:
        """A zero gradient for each trained weight that a pass reaches."""
        states = self._states(self._inputs(self.sizes.tokens[0]))
        trained = [item for item in self.backbone.parameters() if item.requires_grad]
        found = torch.autograd.grad(states, trained, torch.zeros_like(states), allow_unused=True)
        reached = zip(trained, found, strict=True)
        return {item: torch.zeros_like(item) for item, gradient in reached if gradient is not None}

    def _inputs(self, tokens: int) -> "_Inputs":
        return _Inputs.of(self.backbone, self.sizes, tokens, self.token, self.compute.device)

    def _states(self, inputs: "_Inputs") -> torch.Tensor:
        # Weights that autocast has kept from an earlier pass would never change in replays.
        with self.compute.autocast(cached=False):
            return self.backbone.packed_states(inputs.input_ids, inputs.packing, inputs.segments)

    def _record(self, tokens: int) -> "_Graph":
        inputs, trained, sums = self._inputs(tokens), list(self.gradients), list(self.gradients.values())

        def differentiate(states: torch.Tensor, above: torch.Tensor) -> list[torch.Tensor]:
            return list(torch.autograd.grad(states, trained, above))

        self.recorder.warm_up(lambda: differentiate(states := self._states(inputs), torch.zeros_like(states)))
        states, forward = self.recorder.record(lambda: self._states(inputs))
        above = torch.zeros_like(states)
        _, backward = self.recorder.record(lambda: torch._foreach_add_(sums, differentiate(states, above)))
        return _Graph(inputs, states.detach(), above, forward, backward)


@dataclass(frozen=True)
class _Inputs:
    """The memory that a graph reads: token ids (1, tokens), token types or None, positions and offsets."""

    input_ids: torch.Tensor
    segments: torch.Tensor | None
    packing: Packing

    @staticmethod
    def of(backbone: Backbone, sizes: GraphSizes, tokens: int, token: int, device: torch.device) -> "_Inputs":
        """Inputs of one size that hold a valid batch."""
        ids = torch.full((1, tokens), token, device=device)
        segments = torch.zeros_like(ids) if backbone.uses_segments else None
        lengths = sizes.filled(np.array([min(sizes.longest, tokens)]), tokens)
        packing = pack(lengths).to(lambda tensor: tensor.to(device))
        # The kernels read the longest length when they are recorded.
        return _Inputs(ids, segments, Packing(packing.positions, packing.offsets, np.array([sizes.longest])))

    def load(self, batch: Batch, filled: Packing) -> None:
        """Write a batch on the same device, and its filled layout, which is on the CPU.

        What fills it up keeps the token ids of earlier batches, which the backbone can read.
        """
        self.input_ids[:, : batch.real_tokens].copy_(batch.input_ids)
        if self.segments is not None:
            types = torch.zeros_like(batch.input_ids) if batch.segments is None else batch.segments
            self.segments[:, : batch.real_tokens].copy_(types)
        for own, other in ((self.packing.positions, filled.positions), (self.packing.offsets, filled.offsets)):
            own.copy_(other.pin_memory() if own.is_cuda else other, non_blocking=True)


@dataclass(frozen=True)
class _Graph:
    """One size: its inputs, its states (1, tokens, hidden), their gradients `above`, and the two replays."""

    inputs: _Inputs
    states: torch.Tensor
    above: torch.Tensor
    forward: Callable[[], None]
    backward: Callable[[], None]


class _Replayed(torch.autograd.Function):
    """States by a replay of the forward pass; their gradient starts a replay of the backward pass."""

    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, graph: _Graph, real: int) -> torch.Tensor:
        """The states of the real tokens; `anchor` only makes autograd call `backward`."""
        ctx.graph, ctx.real = graph, real
        graph.forward()
        return graph.states[:, :real].detach()

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None]:
        """Add to the gradients of the weights."""
        graph: _Graph = ctx.graph
        graph.above[:, : ctx.real].copy_(gradient)
        graph.above[:, ctx.real :].zero_()
        graph.backward()
        return None, None, None
