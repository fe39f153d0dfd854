"""What it gains to let several small jobs share a GPU: useful tokens a second of all of them, beside one job alone.

    python benchmarks/gpu_sharing.py --data-dir ../shared/data
    python benchmarks/gpu_sharing.py --data-dir ../shared/data --device cpu --layers 2 --hidden 64 --jobs 1 2 --steps 20

Each job is a process of its own that trains the same task with the grid's loop, as `gpu_slots` (README, "Several jobs
on one GPU") lets them. They start their clocks together; the slowest one's end counts. By default the architecture is
that of XLM-R Base, with random weights. With NVIDIA's MPS the kernels of several jobs run at the same time: run it with
and without.
"""

import argparse
import logging
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gpu_paper_grid import (  # noqa: E402
    Machine,
    Measured,
    add_machine_options,
    architecture,
    compute_on,
    lengthened,
    ours,
    require_device,
    settings_of,
)
from padding import encoded_task, read_preset, tokenizer_of  # noqa: E402
from stiltgrid.modeling.gpu_slots import announce  # noqa: E402
from stiltgrid.utils.strict_yaml import read_yaml  # noqa: E402

BASE = {"layers": 12, "hidden": 768}
PATIENCE = 600  # seconds that the jobs wait for each other


def work(asked: argparse.Namespace, scratch: Path, start: Barrier, results: Any) -> None:
    """One job: warm up, wait for the others, train, and tell how fast."""
    torch.set_num_threads(1)
    announce({"gpu_slots": start.parties})  # the job leases its share as in a grid
    compute = compute_on(asked.device)
    grid, preset = read_preset(asked.mirror_preset, asked.data_dir.resolve()), read_yaml(asked.preset)
    tokenizer = tokenizer_of(grid, asked.data_dir, asked.vocabulary, scratch)
    card = lengthened(grid.cards[asked.task], preset)
    data = encoded_task(grid, card, asked.data_dir, tokenizer, scratch)
    machine = Machine(architecture(asked.layers, asked.hidden, asked.pieces), compute, tokenizer, asked.steps, 1.0)
    settings = replace(settings_of(preset["training"], "target", asked.task, asked), batch_size=asked.batch_size)
    results.put(ours(machine, card, data, settings, lambda: start.wait(PATIENCE)))


def together(asked: argparse.Namespace, jobs: int) -> list[Measured]:
    """What so many jobs at once measure, each of itself."""
    spawn = multiprocessing.get_context("spawn")  # a forked process cannot use a GPU
    start, results = spawn.Barrier(jobs), spawn.SimpleQueue()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, str(number)) for number in range(jobs)]
        for folder in folders:
            folder.mkdir()
        processes = [spawn.Process(target=work, args=(asked, folder, start, results)) for folder in folders]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit(f"{jobs} jobs at once: one ended with an error (out of memory? fewer --jobs)")
    return [results.get() for _ in processes]


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser, BASE)
    parser.add_argument("--task", default="pawsx")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4, 8], help="how many at once, one after another")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=100)
    return parser.parse_args(arguments)


def main() -> None:
    """Print a Markdown table, a line for every number of jobs at once."""
    asked = options_of()
    logging.basicConfig(level=logging.WARNING)
    require_device(asked.device)  # which must not lease the GPU that the jobs share
    sys.stdout.write("| jobs at once | useful tokens a second, all | beside the first line | peak GB a job |\n")
    sys.stdout.write("| ---: | ---: | ---: | ---: |\n")
    first = 0.0
    for jobs in asked.jobs:
        found = together(asked, jobs)
        # Rates over the slowest job's time: what is left over when the others have ended gains nothing.
        rate = jobs * min(each.tokens_a_second for each in found)
        first = first or rate
        memory = max(each.gigabytes for each in found)
        sys.stdout.write(f"| {jobs} | {rate:,.0f} | {rate / first:.2f} | {memory:.1f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
