"""How many tokens a forward pass of an evaluation should read on a CPU, and where batches are cut.

    OMP_NUM_THREADS=1 python benchmarks/evaluation_batches.py

Useful tokens a second of forward passes over random sequences, sorted by length and padded inside each batch. Batches
are either filled to the limit, or cut where sequences become shorter, as `stiltgrid.evaluation.batches` does on a CPU.
The first line of a shape and kind is the default of `evaluation.batch_tokens`. Weights are random, in float32. The
plans take turns in one process; figures are medians of the rounds, in processor time of one thread.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from packing import COMPUTE, LENGTHS, backbone, random_sequences  # noqa: E402
from stiltgrid.evaluation.batches import evaluation_batches, tokens_of_a_pass  # noqa: E402
from stiltgrid.modeling.backbone import Backbone  # noqa: E402
from stiltgrid.modeling.batching import make_batch  # noqa: E402
from stiltgrid.modeling.encoded import Encoded  # noqa: E402
from stiltgrid.modeling.planning import length_sorted  # noqa: E402

# Hidden size, layers, and tokens of the sequences that are read.
SHAPES = {"128 x 2": (128, 2, 40_000), "384 x 6": (384, 6, 16_000), "384 x 12": (384, 12, 8_000),
          "768 x 6": (768, 6, 5_000)}  # fmt: skip
LIMITS = (1024, 4096, 16384)


def seconds(model: Backbone, data: Encoded, plan: Sequence[np.ndarray]) -> float:
    """Processor time of reading all batches and pooling them."""
    started = time.process_time()
    with torch.inference_mode():
        for rows in plan:
            batch = make_batch(data, rows, 1, (0, 2), "mean")
            batch.pool(model(batch))
    return time.process_time() - started


def plans(model: Backbone, data: Encoded) -> dict[tuple[str, int], list[np.ndarray]]:
    """Batches by how they are cut and how many tokens they have at most, the default first."""
    found = {}
    for limit in dict.fromkeys((tokens_of_a_pass(None, model.hidden_size, COMPUTE), *LIMITS)):
        found["cut", limit] = evaluation_batches(data.lengths, limit, model, COMPUTE)
    return found | {("filled", limit): length_sorted(data.lengths, limit) for limit in LIMITS}


def main() -> None:
    """Print a Markdown table: a line a shape, kind of lengths and plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--lengths", nargs="+", default=list(LENGTHS), choices=list(LENGTHS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    write = sys.stdout.write
    write(f"torch {torch.__version__}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n\n")
    write("| shape | lengths | sequences | batches | tokens a pass | passes | padding | useful tokens a second |\n")
    write("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |\n")
    for shape in options.shapes:
        hidden, layers, tokens = SHAPES[shape]
        model = backbone(hidden, layers).eval()
        for kind in options.lengths:
            data = random_sequences(kind, round(tokens / LENGTHS[kind][0]))
            made = plans(model, data)
            names = list(made)
            seconds(model, data, made[names[0]][:3])
            found: dict[tuple[str, int], list[float]] = {name: [] for name in names}
            for turn in range(options.rounds):
                for name in names if turn % 2 else names[::-1]:
                    found[name].append(seconds(model, data, made[name]))
            real = int(data.lengths.sum())
            for name in names:
                padded = sum(len(rows) * int(data.lengths[rows].max()) for rows in made[name])
                cells = [shape, kind, f"{len(data):,}", name[0], f"{name[1]:,}", str(len(made[name]))]
                speed = f"{real / statistics.median(found[name]):,.0f}"
                write("| " + " | ".join([*cells, f"{padded / real:.2f}", speed]) + " |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
