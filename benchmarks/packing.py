"""Packed batches beside plain padded ones on a CPU: computed tokens a second of forward and backward passes.

    OMP_NUM_THREADS=1 python benchmarks/packing.py
    OMP_NUM_THREADS=1 python benchmarks/packing.py --precision bf16

A plain pass is transformers' own: the batch padded to its longest sequence, a mask, the same model. A packed pass
computes no padding except inside attention, where sequences of like lengths form groups. Both count the tokens that
all layers but attention compute. The third side is what a step does where a model cannot be packed: padded
micro-batches of like lengths, cut as the training loop cuts them. The last two columns compare useful tokens a second.
Weights and token ids are random; dropout is on, as in training. The sides take turns in one process, and each figure is
the median of the rounds. The clock is the processor time of this process in one thread.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from stiltgrid.modeling.backbone import Backbone  # noqa: E402
from stiltgrid.modeling.batching import Batch, make_batch  # noqa: E402
from stiltgrid.modeling.device import Compute  # noqa: E402
from stiltgrid.modeling.encoded import Encoded, to_table  # noqa: E402
from stiltgrid.modeling.planning import cut_by_length, pass_cost  # noqa: E402
from transformers import AutoConfig, AutoModel  # noqa: E402

SHAPES = {"128 x 2": (128, 2), "384 x 6": (384, 6), "768 x 6": (768, 6)}  # hidden size, layers
PIECES = 8_000
# Lengths of sequences, in tokens: log-normal (median, spread), cut. Sentence pairs, sentences, windows of questions.
LENGTHS: Mapping[str, tuple[float, float, int, int]] = {
    "pairs": (32, 0.4, 8, 128),
    "sentences": (18, 0.6, 3, 128),
    "windows": (180, 0.4, 40, 384),
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIDES = ("padded", "packed", "like lengths")


def random_sequences(kind: str, count: int) -> Encoded:
    """Token ids of random sequences, whose lengths are distributed as `LENGTHS` says."""
    draw = np.random.default_rng(1)
    median, spread, least, most = LENGTHS[kind]
    lengths = np.clip(draw.lognormal(np.log(median), spread, count).astype(int), least, most)
    ids = [draw.integers(5, PIECES, length) for length in lengths]
    return Encoded(to_table({"input_ids": ids, "example": list(range(len(ids)))}))


def batches(kind: str, count: int, sequences: int, model: Backbone) -> list[dict[str, list[Batch]]]:
    """The batches of each side for the same random sequences; each item has the sequences of one padded batch."""
    data = random_sequences(kind, count * sequences)
    cost = pass_cost("cpu", model.hidden_layers, model.matrix_parameters)
    found = []
    for part in np.arange(len(data)).reshape(count, sequences):
        like = cut_by_length(data.lengths[part], np.ones_like(part), sys.maxsize, cost)
        found.append(
            {
                "padded": [make_batch(data, part, 1)],
                "packed": [make_batch(data, part, 1, packed=True)],
                "like lengths": [make_batch(data, part[piece], 1) for piece in like],
            }
        )
    return found


def backbone(hidden: int, layers: int, compute: Compute) -> Backbone:
    """A model of XLM-R's architecture with random weights, its packing enabled."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        "xlm-roberta", vocab_size=PIECES, hidden_size=hidden, num_hidden_layers=layers, intermediate_size=4 * hidden,
        num_attention_heads=max(1, hidden // 64), max_position_embeddings=514, pad_token_id=1,
    )  # fmt: skip
    model = Backbone(AutoModel.from_config(config, add_pooling_layer=False)).train()
    model.enable_packing(compute)
    return model


def seconds(model: Backbone, parts: Sequence[Batch], compute: Compute) -> float:
    """Processor time of forward and backward passes, their gradients summed."""
    started = time.process_time()
    for batch in parts:
        with compute.autocast():
            states = batch.flat(model(batch))
        states.float().square().mean().backward()
    taken = time.process_time() - started
    model.zero_grad(set_to_none=True)
    return taken


def measured(model: Backbone, work: Sequence[Mapping[str, list[Batch]]], compute: Compute, rounds: int) -> list[str]:
    """The figures of a line."""
    for side in SIDES:
        seconds(model, work[0][side], compute)
    taken = []
    for turn in range(rounds):
        order = SIDES[turn % len(SIDES) :] + SIDES[: turn % len(SIDES)]
        taken.append({side: sum(seconds(model, item[side], compute) for item in work) for side in order})
    tokens = {side: sum(batch.computed_tokens for item in work for batch in item[side]) for side in SIDES}
    useful = tokens["packed"]
    rates = [statistics.median(tokens[side] / each[side] for each in taken) for side in ("padded", "packed")]
    times = {side: statistics.median(each[side] / each["packed"] for each in taken) for side in SIDES}
    return [
        f"{useful / len(work):,.0f}",
        f"{tokens['padded'] / useful:.2f}",
        *(f"{rate:,.0f}" for rate in rates),
        f"**{times['padded'] * useful / tokens['padded']:.2f}**",
        f"{times['padded']:.2f}",
        f"**{times['like lengths']:.2f}**",
    ]


def main() -> None:
    """Print a Markdown table: a line a shape and kind of lengths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--lengths", nargs="+", default=list(LENGTHS), choices=list(LENGTHS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=2, help="batches of a round")
    parser.add_argument("--sequences", type=int, default=32, help="of a batch")
    parser.add_argument("--precision", choices=list(DTYPES), default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    compute = Compute(torch.device("cpu"), DTYPES[options.precision])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    write = sys.stdout.write
    write(f"torch {torch.__version__}; {options.precision}; load {load} on {os.cpu_count()} cores\n\n")
    titles = ["shape", "lengths", "tokens a batch", "padding", "padded, tokens a second", "packed", "packed / padded"]
    titles += ["useful", "useful, packed / like lengths"]
    write("| " + " | ".join(titles) + " |\n| --- | --- |" + " ---: |" * (len(titles) - 2) + "\n")
    for shape in options.shapes:
        model = backbone(*SHAPES[shape], compute)
        for kind in options.lengths:
            work = batches(kind, options.batches, options.sequences, model)
            write("| " + " | ".join([shape, kind, *measured(model, work, compute, options.rounds)]) + " |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
