"""Neighbours in both directions for bitext mining: this project beside faiss's exact flat index, on the same cores.

    pip install faiss-cpu
    python benchmarks/mining.py --sources 400000 --targets 20000 --hidden 1024

Synthetic sentence vectors: a share of the targets are sources with noise, the rest is random about a common direction,
as sentence vectors are. Each side runs in processes of its own, in turns, and finds the 4 nearest of every source and
of every target by inner product. Memory is what a process itself allocated at its peak, above the vectors' files,
which both read from disk. That the neighbours are the same is checked: where numbers differ, their cosines must be
equal to 1e-5.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

NEIGHBOURS = 4
CHUNK = 20_000
SAME = 1e-5


def write_vectors(folder: Path, sources: int, targets: int, hidden: int) -> None:
    """Unit vectors (float32) of both sides; half of the targets are translations of sources."""
    generator = np.random.default_rng(1)
    common = generator.standard_normal(hidden, dtype=np.float32)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (sources, hidden))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float32, (targets, hidden))
    for side in (x, y):
        for start in range(0, len(side), CHUNK):
            part = generator.standard_normal((min(CHUNK, len(side) - start), hidden), dtype=np.float32) + common
            side[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    paired = min(targets // 2, sources)
    noise = generator.standard_normal((paired, hidden), dtype=np.float32) / np.float32(np.sqrt(hidden))
    found = x[np.sort(generator.permutation(sources)[:paired])] + 0.7 * noise
    y[:paired] = found / np.linalg.norm(found, axis=1, keepdims=True)
    x.flush()
    y.flush()


def ours(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Scores and indices of both directions, from one pass."""
    from stiltgrid.tasks.nearest_neighbours import nearest_both

    forward, backward = nearest_both(x, y, NEIGHBOURS)
    return [forward.scores, forward.indices, backward.scores, backward.indices]


def faiss(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The same by two flat indices, one direction after the other."""
    import faiss as library

    library.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    found: list[np.ndarray] = []
    for queries, candidates in ((x, y), (y, x)):
        index = library.IndexFlatIP(candidates.shape[1])
        for start in range(0, len(candidates), CHUNK):
            index.add(np.ascontiguousarray(candidates[start : start + CHUNK]))
        parts = [index.search(np.ascontiguousarray(queries[start : start + CHUNK]), NEIGHBOURS)
                 for start in range(0, len(queries), CHUNK)]  # fmt: skip
        found += [np.concatenate([part[number] for part in parts]) for number in (0, 1)]
        del index
    return found


SIDES: Mapping[str, Callable[[np.ndarray, np.ndarray], list[np.ndarray]]] = {"ours": ours, "faiss": faiss}


class Memory(threading.Thread):
    """The most memory that this process allocated, files aside, looked at twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.first = self.peak = self._now()

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            self.peak = max(self.peak, self._now())
            time.sleep(0.05)

    @staticmethod
    def _now() -> int:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon"))


def run_side(name: str, folder: Path) -> None:
    """Time one side on the vectors in a folder; print what it took, keep what it found there."""
    x, y = (np.load(folder / f"{side}.npy", mmap_mode="r") for side in "xy")
    side = SIDES[name]
    side(x[:NEIGHBOURS], y[:NEIGHBOURS])  # imports and threads
    memory = Memory()
    memory.start()
    wall, cpu = time.monotonic(), time.process_time()
    found = side(x, y)
    taken = {"seconds": time.monotonic() - wall, "cpu": time.process_time() - cpu, "mb": memory.peak - memory.first}
    np.savez(folder / f"{name}.npz", *found)
    sys.stdout.write(json.dumps(taken))


def differences(folder: Path) -> tuple[int, int, float]:
    """(neighbours, those whose numbers differ, largest difference of cosines)."""
    a, b = (np.load(folder / f"{name}.npz") for name in SIDES)
    pairs = [(a[key], b[key]) for key in ("arr_1", "arr_3")]
    unlike = sum(int((mine != theirs).sum()) for mine, theirs in pairs)
    apart = max(float(np.abs(a[key] - b[key]).max()) for key in ("arr_0", "arr_2"))
    return sum(mine.size for mine, _ in pairs), unlike, apart


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """The fastest run of each side."""
    best: dict[str, dict[str, Any]] = {}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(asked.threads))
    for _ in range(asked.repeats):
        for name in SIDES:
            command = [sys.executable, __file__, "--side", name, "--folder", str(folder)]
            done = subprocess.run(command, env={**os.environ, **threads}, check=True, stdout=subprocess.PIPE, text=True)
            taken = json.loads(done.stdout)
            if name not in best or taken["seconds"] < best[name]["seconds"]:
                best[name] = taken
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=40_000)
    parser.add_argument("--targets", type=int, default=20_000)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        run_side(asked.side, asked.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_vectors(folder, asked.sources, asked.targets, asked.hidden)
        best = measure(asked, folder)
        total, unlike, apart = differences(folder)
    write = sys.stdout.write
    write(f"{asked.sources:,} x {asked.targets:,} x {asked.hidden:,}, both directions, {asked.threads} threads\n\n")
    write("| side | seconds | CPU s | MB allocated |\n|---|---|---|---|\n")
    for side, taken in best.items():
        write(f"| {side} | {taken['seconds']:.1f} | {taken['cpu']:.1f} | {taken['mb']:,} |\n")
    ratios = [best["faiss"][key] / best["ours"][key] for key in ("seconds", "cpu")]
    write(f"\nfaiss takes {ratios[0]:.2f} times as long and {ratios[1]:.2f} times the CPU time; ")
    write(f"of {total:,} neighbours {unlike:,} have another number; cosines differ by {apart:.1e} at most\n")
    if apart > SAME:
        raise SystemExit("not the same neighbours")


if __name__ == "__main__":
    main()
