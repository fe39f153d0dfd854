"""What a job will ask of a cluster, estimated from the files that it reads. Pure; generous rather than exact.

Too much costs a little waiting in the queue; too little costs a job. Attempts after a failure ask for more.
"""

import os
from collections.abc import Iterable
from pathlib import Path

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


def megabytes(files: Iterable[str | os.PathLike[str]], suffix: str = "") -> float:
    """Size of those files whose names end with `suffix`. FileNotFoundError tells Snakemake that it is too early."""
    return sum(Path(file).stat().st_size for file in files if str(file).endswith(suffix)) / MEGABYTE


def memory_mb(files: Iterable[str | os.PathLike[str]], copies: int, attempt: int = 1) -> int:
    """Megabytes for a job that holds `copies` of its weights in float32 and maps the rest of its inputs.

    Each further attempt has half as much again.
    """
    names = [str(file) for file in files]
    weights = megabytes(names, ".safetensors")
    needed = PROCESS_MB + copies * weights + 2 * (megabytes(names) - weights)
    return int(needed * (1 + 0.5 * (attempt - 1)))


def text_memory_mb(file: str | os.PathLike[str], attempt: int = 1) -> int:
    """Megabytes for packing raw text: its documents and their tokens at once, of a file that is compressed."""
    return int((PROCESS_MB + TEXT_COPIES * megabytes([file])) * (1 + 0.5 * (attempt - 1)))


def minutes(
    files: Iterable[str | os.PathLike[str]], passes: float, operations: int = FORWARD_AND_BACKWARD, attempt: int = 1
) -> int:
    """Minutes for `passes` over the encoded inputs; an attempt gets its number times that.

    A resumed attempt goes on where the last one stopped, so the time of all attempts counts.
    """
    names = [str(file) for file in files]
    weights = megabytes(names, ".safetensors") * MEGABYTE / WEIGHT_BYTES
    tokens = megabytes(names, ".arrow") * MEGABYTE / TOKEN_BYTES
    seconds = MARGIN * operations * weights * tokens * passes / SPEED
    return min(MOST_MINUTES, int(max(LEAST_MINUTES, seconds / 60)) * attempt)
