"""Training and scoring on a CPU with freed memory kept and without: tokens a CPU second and peak memory.

    OMP_NUM_THREADS=1 python benchmarks/allocator.py
    OMP_NUM_THREADS=1 python benchmarks/allocator.py --shapes e5-small --rounds 5

The work is that of `cpu_precision.py` in float32. Each side runs in a process of its own, since the C library's setting
cannot be taken back; the sides take turns, and each figure is the median of the rounds.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys

import torch
from cpu_precision import LENGTHS, SHAPES, machine, scoring_rate, training_rate, work_of
from stiltgrid.utils.allocator import keep_freed_memory

WINDOWS = (300, 384)  # tokens of a passage and a question
DATA = {"pairs": LENGTHS, "windows": WINDOWS}
KEPT, PLAIN = "kept", "plain"


def measure(shape: str, data: str, side: str, steps: int, sequences: int) -> dict[str, float]:
    """Rates of this process, in tokens a CPU second, and its peak resident memory in MB."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if side == KEPT and not keep_freed_memory():
        raise SystemExit("the C library is not glibc, or a variable sets how it keeps memory")
    work = work_of(SHAPES[shape], steps, sequences, DATA[data])
    rates = {"training": training_rate(work, torch.float32), "scoring": scoring_rate(work, torch.float32)}
    return {**rates, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def in_process(*options: object) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--side", *map(str, options)]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]))


def compare(shape: str, data: str, rounds: int, steps: int, sequences: int) -> str:
    """A line of the table: medians of each side, and of their ratio in each round."""
    found: dict[str, list[dict[str, float]]] = {PLAIN: [], KEPT: []}
    for turn in range(rounds):
        for side in (PLAIN, KEPT) if turn % 2 else (KEPT, PLAIN):
            found[side].append(in_process(shape, data, side, steps, sequences))
    cells = []
    for name in ("training", "scoring"):
        plain, kept = ([item[name] for item in found[side]] for side in (PLAIN, KEPT))
        ratio = statistics.median(after / before for before, after in zip(plain, kept, strict=True))
        cells += [f"{statistics.median(plain):,.0f}", f"{statistics.median(kept):,.0f}", f"**{ratio:.2f}**"]
    cells += [f"{statistics.median(item['peak'] for item in found[side]):,.0f}" for side in (PLAIN, KEPT)]
    return "| " + " | ".join([shape, data, *cells]) + " |\n"


def main() -> None:
    """Print a Markdown table: a line a shape and kind of data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="training steps of a round, the first not counted")
    parser.add_argument("--sequences", type=int, default=64, help="sequences that a round scores")
    parser.add_argument("--side", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        shape, data, side, steps, sequences = options.side
        sys.stdout.write(json.dumps(measure(shape, data, side, int(steps), int(sequences))) + "\n")
        return
    write = sys.stdout.write
    write("; ".join(f"{name}: {value}" for name, value in machine().items()) + "\n\n")
    write("| shape | data | training | kept | ratio | scoring | kept | ratio | peak MB | kept |\n")
    write("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
    for name in options.shapes:
        for data in DATA:
            write(compare(name, data, options.rounds, options.steps, options.sequences))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
