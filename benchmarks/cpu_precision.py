"""bf16 beside float32 on a CPU: tokens a second of training and scoring, at three shapes.

    OMP_NUM_THREADS=1 python benchmarks/cpu_precision.py
    OMP_NUM_THREADS=1 python benchmarks/cpu_precision.py --shapes e5-small --rounds 5

Training is the grid's own loop (packed micro-batches, AdamW, the vocabulary subset) under autocast; scoring is the
grid's own prediction, with weights in the dtype of the arithmetic. Weights and token ids are random, which does not
change the time.
The sides take turns in one process, and each figure is the median of the rounds. The clock is the processor time of
this process in one thread, so that other work on the machine disturbs less. The last column is the measurement by which
`precision: auto` chooses.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from stiltgrid.evaluation.prediction import Predictor, Reader, TokenCount, predict_all  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402
from stiltgrid.grid.grid import Model, TrainingSettings  # noqa: E402
from stiltgrid.modeling.backbone import Backbone  # noqa: E402
from stiltgrid.modeling.device import Compute  # noqa: E402
from stiltgrid.modeling.encoded import Encoded, to_table  # noqa: E402
from stiltgrid.modeling.precision import bf16_speedup  # noqa: E402
from stiltgrid.modeling.tokenization import SpecialTokens  # noqa: E402
from stiltgrid.tasks.families import family  # noqa: E402
from stiltgrid.training.stage import Stage  # noqa: E402
from stiltgrid.training.stage_plan import StageModel, StagePlan  # noqa: E402
from stiltgrid.training.trainable import trainable_part  # noqa: E402
from stiltgrid.training.training_data import StageTask  # noqa: E402
from stiltgrid.training.vocabulary_subset import used_ids  # noqa: E402
from transformers import AutoConfig, AutoModel  # noqa: E402

# (layers, hidden size, pieces of the vocabulary); e5-small is multilingual-e5-small's shape.
SHAPES = {"e5-small": (12, 384, 250_037), "768 x 6": (6, 768, 250_037), "128 x 2": (2, 128, 8_000)}
DTYPES = (torch.float32, torch.bfloat16)
USED_PIECES = 20_000  # of the vocabulary occur in the data, at most
LENGTHS = (8, 96)  # of sequences, in tokens, uniformly drawn
BATCH_SIZE = 16
SPECIAL = SpecialTokens(pad=1, mask=None, prefix=[0], middle=[2, 2], suffix=[2])
CARD = TaskCard("task", "sequence", "", "", ("en",), "accuracy", 128, labels=("a", "b"))


@dataclass(frozen=True)
class Work:
    """A shape's configuration and data, and the steps and sequences of one round."""

    config: Any
    data: Encoded
    steps: int
    sequences: int

    def backbone(self, dtype: torch.dtype = torch.float32) -> Backbone:
        """The model with weights drawn by one seed."""
        torch.manual_seed(1)
        return Backbone(AutoModel.from_config(deepcopy(self.config), add_pooling_layer=False).to(dtype))


def work_of(shape: tuple[int, int, int], steps: int, sequences: int) -> Work:
    """Sequences of random lengths and token ids for a shape."""
    layers, hidden, pieces = shape
    config = AutoConfig.for_model(
        "xlm-roberta", vocab_size=pieces, hidden_size=hidden, num_hidden_layers=layers, intermediate_size=4 * hidden,
        num_attention_heads=max(1, hidden // 32), max_position_embeddings=514, pad_token_id=SPECIAL.pad,
    )  # fmt: skip
    draw = np.random.default_rng(1)
    count = max(steps * BATCH_SIZE, sequences)
    ids = [draw.integers(5, min(pieces, USED_PIECES), size) for size in draw.integers(*LENGTHS, count)]
    columns = {"input_ids": ids, "example": list(range(count)), "label": draw.integers(0, 2, count).tolist()}
    return Work(config, Encoded(to_table(columns)), steps, sequences)


def training_rate(work: Work, dtype: torch.dtype) -> float:
    """Tokens a second of training steps; the first step is not counted."""
    settings = TrainingSettings(1e-4, BATCH_SIZE, 1.0, max_steps=work.steps, evaluate_every=10**9)
    offsets, kind = work.data.example_offsets, family("sequence")
    task = StageTask(CARD, kind, settings, work.data, offsets, np.arange(len(offsets) - 1), None, None)
    backbone, reader = work.backbone(), Reader(SPECIAL, Model("model", pooling="cls"))
    heads = torch.nn.ModuleDict({CARD.name: kind.build_head(CARD, backbone.hidden_size)})
    plan = StagePlan("stage", [task], np.zeros(work.steps, dtype=np.int64), settings, 1)
    model = StageModel(backbone, heads, reader, Compute(torch.device("cpu"), dtype))
    backbone.enable_packing(model.compute)
    with trainable_part(backbone, settings, used_ids([work.data], SPECIAL)):
        stage = Stage(plan, model)
        backbone.train()
        stage.step(0)
        started, before = time.process_time(), stage.state.tokens.real
        for _ in range(work.steps - 1):
            stage.step(0)
        return (stage.state.tokens.real - before) / (time.process_time() - started)


def scoring_rate(work: Work, dtype: torch.dtype) -> float:
    """Tokens a second of predictions."""
    some, kind = work.data.take_examples(np.arange(work.sequences)), family("sequence")
    backbone = work.backbone(dtype)
    compute = Compute(torch.device("cpu"), dtype)
    predictor = Predictor(
        backbone, kind.build_head(CARD, backbone.hidden_size), kind, CARD, Reader(SPECIAL, Model("model")), compute
    )
    predict_all(predictor, some.take_examples(np.arange(8)), 4096, TokenCount())
    count, started = TokenCount(), time.process_time()
    predict_all(predictor, some, 4096, count)
    return count.real / (time.process_time() - started)


def compare(side: Callable[[Work, torch.dtype], float], work: Work, rounds: int) -> tuple[float, float, float]:
    """Medians of the float32 rate, of the bf16 rate, and of their ratio in each round."""
    found = [[side(work, dtype) for dtype in (DTYPES if turn % 2 else DTYPES[::-1])] for turn in range(rounds)]
    found = [pair if turn % 2 else pair[::-1] for turn, pair in enumerate(found)]
    rates = [statistics.median(values) for values in zip(*found, strict=True)]
    return rates[0], rates[1], statistics.median(half / full for full, half in found)


def machine() -> Mapping[str, Any]:
    """What the figures depend on."""
    supported = {"AMX": torch.cpu._is_amx_tile_supported(), "AVX512-BF16": torch.cpu._is_avx512_bf16_supported()}
    instructions = ", ".join(name for name, has in supported.items() if has) or "neither AMX nor AVX512-BF16"
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {"torch": torch.__version__, "bf16 instructions": instructions, "load": f"{load} on {os.cpu_count()} cores"}


def main() -> None:
    """Print a Markdown table: a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="training steps of a round, the first not counted")
    parser.add_argument("--sequences", type=int, default=96, help="sequences that a round scores")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    write = sys.stdout.write
    write("; ".join(f"{name}: {value}" for name, value in machine().items()) + "\n\n")
    write("| shape | training, fp32 | bf16 | ratio | scoring, fp32 | bf16 | ratio | measured by `auto` |\n")
    write("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
    for name in options.shapes:
        work = work_of(SHAPES[name], options.steps, options.sequences)
        cells = []
        for side in (training_rate, scoring_rate):
            full, half, ratio = compare(side, work, options.rounds)
            cells += [f"{full:,.0f}", f"{half:,.0f}", f"**{ratio:.2f}**"]
        write("| " + " | ".join([name, *cells, f"{bf16_speedup(SHAPES[name][1]):.2f}"]) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
