"""Memory and CPU time of `prepare` and `encode` as data grows, and what verifying checksums costs.

    python benchmarks/preparation_memory.py --rows 400000 4000000

Rows are sentence pairs of MNLI's lengths (20 and 10 words on average) from a seeded generator, as JSON Lines in a
temporary folder; the tokenizer is trained on some of them. Each stage runs in a process of its own, whose peak resident
memory the kernel reports. Checksums: CPU seconds to hash the encoded file and 256 MB of weights.
"""

import argparse
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from stiltgrid.grid.cards import TaskCard  # noqa: E402

CARD = TaskCard(
    name="pairs", family="sequence", about="", citation="", languages=("en",), metric="accuracy", max_length=128,
    fields={"text_a": "premise", "text_b": "hypothesis", "label": "label"},
    labels=("entailment", "neutral", "contradiction"), label_values=(0, 1, 2), dev_from_train=1000,
    local={"folder": "pairs", "splits": {"train": "train"}},
)  # fmt: skip


def write_rows(path: Path, count: int) -> None:
    """Sentence pairs with words of a Zipf-like distribution."""
    draw = random.Random(1)
    words = [f"{draw.choice('bdfgklmnprst')}{draw.choice('aeiou')}{number:x}" for number in range(20_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for start in range(0, count, 1000):
            drawn = iter(draw.choices(words, weights, k=30_000))
            for number in range(start, min(start + 1000, count)):
                lengths = (draw.randint(8, 32), draw.randint(4, 16))
                texts = [" ".join(word for word, _ in zip(drawn, range(length), strict=False)) for length in lengths]
                row = {"premise": texts[0] or "a", "hypothesis": texts[1] or "b", "label": number % 3}
                file.write(json.dumps(row) + "\n")


def prepare(folder: Path) -> None:
    """The job `prepare_train`."""
    from stiltgrid.data.sources.local import LocalSource
    from stiltgrid.preparation.prepare import prepare_train

    prepare_train(CARD, {}, ("en",), LocalSource(folder), folder / "train.parquet", folder / "dev.parquet")


def make_tokenizer(folder: Path) -> None:
    """A byte-pair tokenizer of 8,000 pieces, trained on the development rows."""
    import pyarrow.parquet as pq
    from stiltgrid.preparation.tokenizers import train_tokenizer

    texts = pq.read_table(folder / "dev.parquet", columns=["language", "text_a"]).rename_columns(["language", "text"])
    pq.write_table(texts, folder / "text.parquet")
    settings = {"algorithm": "bpe", "vocabulary": 8000, "pre_tokenizer": "metaspace"}
    train_tokenizer(folder / "text.parquet", settings, folder / "tokenizer")


def encode(folder: Path) -> None:
    """The job `encode_train`."""
    from stiltgrid.preparation.encode import encode_file

    encode_file(CARD, folder / "train.parquet", folder / "tokenizer", folder / "train.arrow", 128, True)


def verify(folder: Path) -> None:
    """The checksum of the encoded file and of weights of 256 MB."""
    import numpy as np
    from safetensors.numpy import save_file
    from stiltgrid.modeling.encoded import read_encoded
    from stiltgrid.utils.checksums import seal_weights, verify_weights

    weights = folder / "model.safetensors"
    save_file({"weight": np.arange(2**26, dtype=np.float32)}, weights)
    read_encoded(folder / "train.arrow")  # the first time of anything takes longer
    for name, work in {
        "seal 256 MiB of weights": lambda: seal_weights(weights),
        "verify 256 MiB of weights": lambda: verify_weights(weights),
        f"open {(folder / 'train.arrow').stat().st_size / 2**20:.0f} MiB of token ids": lambda: read_encoded(
            folder / "train.arrow"
        ),
    }.items():
        started = time.process_time()
        work()
        sys.stdout.write(f"    {name}: {time.process_time() - started:.3f} CPU s\n")
        sys.stdout.flush()


def _measured(work: Callable[[Path], None], folder: Path, count: int) -> None:
    started = time.process_time()
    work(folder)
    seconds, peak = time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{count} rows, {work.__name__}: {seconds:.0f} CPU s, {peak:.0f} MB\n")
    sys.stdout.flush()


def measure(work: Callable[[Path], None], folder: Path, count: int) -> None:
    """Run some work in a new process, which writes its CPU seconds and its peak resident memory."""
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(work, folder, count))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__}: ended with status {process.exitcode}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[400_000, 4_000_000])
    parser.add_argument("--folder", type=Path, default=None, help="where temporary files go")
    options = parser.parse_args()
    for count in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            write_rows(folder / "pairs" / "train.en.jsonl", count)
            for work in (prepare, make_tokenizer, encode, verify):
                measure(work, folder, count)


if __name__ == "__main__":
    main()
