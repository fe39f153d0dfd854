"""Packed batches beside plain padded ones on a CPU: computed tokens a second of forward and backward passes.

    OMP_NUM_THREADS=1 python benchmarks/packing.py

A plain pass is transformers' own: the batch padded to its longest sequence, a mask, the same model. A packed pass
computes no padding except inside attention, where sequences of like lengths form groups. Both count the tokens that
all layers but attention compute. Weights and token ids are random; dropout is on, as in training. The sides take turns
in one process, and each figure is the median of the rounds. The clock is the processor time of this process in one
thread.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from stiltgrid.modeling.backbone import Backbone  # noqa: E402
from stiltgrid.modeling.batching import Batch, make_batch  # noqa: E402
from stiltgrid.modeling.device import Compute  # noqa: E402
from stiltgrid.modeling.encoded import Encoded, to_table  # noqa: E402
from transformers import AutoConfig, AutoModel  # noqa: E402

SHAPES = {"128 x 2": (128, 2), "384 x 6": (384, 6), "768 x 6": (768, 6)}  # hidden size, layers
PIECES = 8_000
# Lengths of sequences, in tokens: log-normal (median, spread), cut. Sentence pairs, sentences, windows of questions.
LENGTHS: Mapping[str, tuple[float, float, int, int]] = {
    "pairs": (32, 0.4, 8, 128),
    "sentences": (18, 0.6, 3, 128),
    "windows": (180, 0.4, 40, 384),
}
COMPUTE = Compute(torch.device("cpu"), torch.float32)


def random_sequences(kind: str, count: int) -> Encoded:
    """Token ids of random sequences, whose lengths are distributed as `LENGTHS` says."""
    draw = np.random.default_rng(1)
    median, spread, least, most = LENGTHS[kind]
    lengths = np.clip(draw.lognormal(np.log(median), spread, count).astype(int), least, most)
    ids = [draw.integers(5, PIECES, length) for length in lengths]
    return Encoded(to_table({"input_ids": ids, "example": list(range(len(ids)))}))


def batches(kind: str, count: int, sequences: int) -> list[tuple[Batch, Batch]]:
    """(padded, packed) batches of the same random sequences."""
    data = random_sequences(kind, count * sequences)
    rows = np.arange(len(data)).reshape(count, sequences)
    return [(make_batch(data, part, 1), make_batch(data, part, 1, packed=True)) for part in rows]


def backbone(hidden: int, layers: int) -> Backbone:
    """A model of XLM-R's architecture with random weights, its packing enabled."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        "xlm-roberta", vocab_size=PIECES, hidden_size=hidden, num_hidden_layers=layers, intermediate_size=4 * hidden,
        num_attention_heads=max(1, hidden // 64), max_position_embeddings=514, pad_token_id=1,
    )  # fmt: skip
    model = Backbone(AutoModel.from_config(config, add_pooling_layer=False)).train()
    model.enable_packing(COMPUTE)
    return model


def seconds(model: Backbone, batch: Batch) -> float:
    """Processor time of a forward and a backward pass."""
    started = time.process_time()
    states = batch.flat(model(batch))
    states.square().mean().backward()
    taken = time.process_time() - started
    model.zero_grad(set_to_none=True)
    return taken


def main() -> None:
    """Print a Markdown table: a line a shape and kind of lengths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--lengths", nargs="+", default=list(LENGTHS), choices=list(LENGTHS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=2, help="batches of a round")
    parser.add_argument("--sequences", type=int, default=32, help="of a batch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    write = sys.stdout.write
    write(f"torch {torch.__version__}; load {load} on {os.cpu_count()} cores\n\n")
    write(
        "| shape | lengths | tokens a batch | padding | padded, tokens a second | packed | packed / padded | useful |\n"
    )
    write("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
    for shape in options.shapes:
        model = backbone(*SHAPES[shape])
        for kind in options.lengths:
            pairs = batches(kind, options.batches, options.sequences)
            seconds(model, pairs[0][0]), seconds(model, pairs[0][1])
            found = []
            for turn in range(options.rounds):
                sides = (0, 1) if turn % 2 else (1, 0)
                taken = {side: sum(seconds(model, pair[side]) for pair in pairs) for side in sides}
                found.append([sum(pair[side].computed_tokens for pair in pairs) / taken[side] for side in (0, 1)])
            padded, packed = (statistics.median(values) for values in zip(*found, strict=True))
            ratio = statistics.median(ours / plain for plain, ours in found)
            real = sum(pair[1].computed_tokens for pair in pairs)
            padding = sum(pair[0].computed_tokens for pair in pairs) / real
            cells = [shape, kind, f"{real / len(pairs):,.0f}", f"{padding:.2f}", f"{padded:,.0f}", f"{packed:,.0f}"]
            write("| " + " | ".join([*cells, f"**{ratio:.2f}**", f"{ratio * padding:.2f}"]) + " |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
