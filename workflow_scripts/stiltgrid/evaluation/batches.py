"""Which sequences an evaluation reads in one forward pass, and how many tokens that has at most."""

import numpy as np

from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.planning import least_padded, length_sorted, pass_cost

GPU_TOKENS = 16384
# On a CPU the widest states of a layer, (tokens, 4 * hidden) in float32, have at most so many bytes. The C library
# returns the memory of larger ones to the system after every use. See benchmarks/evaluation_batches.py.
CPU_BYTES, CPU_LEAST, CPU_MOST = 16 * 2**20, 1024, 4096
# Tokens that could be read in the time that a CPU takes to bring the weights from memory once more.
CPU_WEIGHTS = 32.0


def tokens_of_a_pass(batch_tokens: int | None, hidden_size: int, compute: Compute) -> int:
    """Tokens that a forward pass computes at most: as configured; otherwise by device and size of the model."""
    if batch_tokens is not None:
        return batch_tokens
    if compute.device.type == "cuda":
        return GPU_TOKENS
    return min(max(CPU_BYTES // (4 * 4 * hidden_size), CPU_LEAST), CPU_MOST)


def evaluation_batches(
    lengths: np.ndarray, batch_tokens: int, backbone: Backbone, compute: Compute
) -> list[np.ndarray]:
    """Batches of sequence numbers of at most `batch_tokens` computed tokens (or one sequence), longest first.

    On a CPU, where a pass may be small, batches are cut where sequences become shorter, which leaves little padding.
    A GPU needs full batches.
    """
    if compute.device.type == "cuda":
        return length_sorted(lengths, batch_tokens)
    cost = pass_cost("cpu", backbone.hidden_layers, backbone.matrix_parameters)
    return least_padded(lengths, batch_tokens, cost.overhead + CPU_WEIGHTS)
