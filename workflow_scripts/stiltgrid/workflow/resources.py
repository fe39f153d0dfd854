"""Memory, minutes and threads that a job asks for, estimated from the files that it reads; generous, not exact.

Asking for too much costs a little time in a cluster's queue; asking for too little costs the job. Attempts after a
failure ask for more.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from stiltgrid.grid.grid import Grid
from stiltgrid.utils.memoize import memoize

MEGABYTE = 1 << 20
PROCESS_MB = 2000  # Python, torch and its libraries
# Copies of the weights that a job holds: training has gradients, two moments and the best weights beside them.
TRAINING_COPIES, SCORING_COPIES = 6, 2
ADAPTER_COPIES = 2  # where low-rank adapters are trained, whose own copies are small
# Operations a token and weight (Kaplan et al. 2020, section 2.1): 2 forwards, 4 more backwards.
FORWARD, FORWARD_AND_BACKWARD = 2, 6
TEXT_COPIES = 12  # of a compressed file of raw text, unpacked and as tokens
SPEED = 2e13  # operations a second that a cluster's GPU reaches at the least in half precision
MARGIN, LEAST_MINUTES, MOST_MINUTES = 3.0, 30, 2880
TOKEN_BYTES, WEIGHT_BYTES = 4, 4
Files = Iterable[str | os.PathLike[str]]


def megabytes(files: Files, suffix: str = "") -> float:
    """Size of the files whose names end with `suffix`.

    Raises FileNotFoundError where one is not there yet, on which Snakemake asks again when it is.
    """
    return sum(Path(file).stat().st_size for file in files if str(file).endswith(suffix)) / MEGABYTE


def memory_mb(files: Files, copies: int, attempt: int = 1) -> int:
    """Megabytes for a job that holds `copies` of its weights in float32 and maps the rest of its inputs.

    Each further attempt asks for half of that more.
    """
    names = [str(file) for file in files]
    weights = megabytes(names, ".safetensors")
    needed = PROCESS_MB + copies * weights + 2 * (megabytes(names) - weights)
    return int(needed * (1 + 0.5 * (attempt - 1)))


def text_memory_mb(file: str | os.PathLike[str], attempt: int = 1) -> int:
    """Megabytes for packing raw text: all documents of a compressed file, and their tokens."""
    return int((PROCESS_MB + TEXT_COPIES * megabytes([file])) * (1 + 0.5 * (attempt - 1)))


def minutes(files: Files, passes: float, operations: int = FORWARD_AND_BACKWARD, attempt: int = 1) -> int:
    """Minutes for `passes` over the encoded inputs, multiplied by the number of the attempt.

    An attempt resumes where the last one stopped, so the time of all attempts counts.
    """
    names = [str(file) for file in files]
    weights = megabytes(names, ".safetensors") * MEGABYTE / WEIGHT_BYTES
    tokens = megabytes(names, ".arrow") * MEGABYTE / TOKEN_BYTES
    seconds = MARGIN * operations * weights * tokens * passes / SPEED
    return min(MOST_MINUTES, int(max(LEAST_MINUTES, seconds / 60)) * attempt)


class JobResources:
    """Resources of the rules that compute; arguments `files` and `attempt` are Snakemake's `input` and `attempt`."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def threads(self, model: str) -> int:
        """One thread for models that are pretrained here: they are small, and two are slower. Profiles may set more."""
        return 1 if self.grid.models[model].pretrain else 4

    def training_mb(self, stage: str, tasks: Sequence[str], files: Files, attempt: int) -> int:
        """Megabytes for training on these tasks: fewer where all of them train adapters alone."""
        return memory_mb(files, self._copies(stage, tasks), attempt)

    def training_minutes(self, stage: str, tasks: Sequence[str], files: Files, attempt: int) -> int:
        """Minutes for training on these tasks, each for as many epochs as the one that is trained longest."""
        return minutes(files, self._epochs(stage, tasks), FORWARD_AND_BACKWARD, attempt)

    def scoring_mb(self, files: Files, attempt: int) -> int:
        """Megabytes for scoring."""
        return memory_mb(files, SCORING_COPIES, attempt)

    def scoring_minutes(self, files: Files, attempt: int) -> int:
        """Minutes for scoring: one pass over all languages."""
        return minutes(files, 1, FORWARD, attempt)

    @memoize
    def _copies(self, stage: str, tasks: Sequence[str]) -> int:
        adapters = tasks and all(self.grid.training_for(stage, name).lora for name in tasks)
        return ADAPTER_COPIES if adapters else TRAINING_COPIES

    @memoize
    def _epochs(self, stage: str, tasks: Sequence[str]) -> float:
        return max((self.grid.training_for(stage, name).epochs for name in tasks), default=1)
