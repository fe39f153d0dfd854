"""Training steps of this project beside Hugging Face's `Trainer`: useful tokens a second, on the same work.

    python benchmarks/trainer_comparison.py --data-dir ../shared/data --task anli_plus

Same architecture, head, real data, batch size, number of steps, fused AdamW, precision and threads. Trainer runs in
three settings: every sequence padded to the task's maximum, each batch to its longest, and batches of similar lengths
(which are other batches: ours keep the examples of each step as they were drawn). The sides take turns; the best of
the rounds counts. On a CPU the clock is the process's own processor time, so other work on the machine disturbs less.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from padding import ROOT, encoded_task, read_preset, tokenizer_of  # noqa: E402  (puts the library on the path)
from stiltgrid.backbone import Backbone  # noqa: E402
from stiltgrid.cards import Model, TaskCard, TrainingSettings  # noqa: E402
from stiltgrid.device import Compute, prepare_compute  # noqa: E402
from stiltgrid.encoded import Encoded  # noqa: E402
from stiltgrid.families import family  # noqa: E402
from stiltgrid.prediction import Reader  # noqa: E402
from stiltgrid.stage import Stage  # noqa: E402
from stiltgrid.tokenization import read_special_tokens  # noqa: E402
from stiltgrid.trainable import trained_part  # noqa: E402
from stiltgrid.training_data import StageTask  # noqa: E402
from stiltgrid.used_rows import used_ids  # noqa: E402
from transformers import AutoConfig, Trainer, TrainerCallback, TrainingArguments  # noqa: E402
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING  # noqa: E402

WARM = 3  # steps before the clock starts
SETTINGS = {"pad to maximum": (True, "random"), "dynamic padding": (False, "random")} | {
    "group by length": (False, "group_by_length")
}


@dataclass(frozen=True)
class Work:
    """What every side does."""

    config: Any
    card: TaskCard
    data: Encoded
    tokenizer: Path
    compute: Compute
    batch_size: int
    steps: int
    learning_rate: float = 1e-3

    def model(self) -> Any:
        """The architecture with its classification head, weights drawn by one seed."""
        torch.manual_seed(1)
        return MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(self.config)](deepcopy(self.config))

    def now(self) -> float:
        """Seconds."""
        if self.compute.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


class Clock:
    """Useful and computed tokens a second, from the end of the warming steps on."""

    def __init__(self, work: Work) -> None:
        self.work, self.times = work, dict[int, float]()

    def tick(self, step: int) -> None:
        """To be called after step 1, 2, …."""
        if step in (WARM, self.work.steps):
            self.times[step] = self.work.now()

    def rates(self, useful: Sequence[int], computed: Sequence[int]) -> tuple[float, float, float]:
        """(useful tokens a second, computed by useful tokens, seconds a step) from tokens of each step."""
        seconds = self.times[self.work.steps] - self.times[WARM]
        counted = slice(WARM, self.work.steps)
        total = sum(useful[counted])
        return total / seconds, sum(computed[counted]) / total, seconds / (self.work.steps - WARM)


class TimedStage(Stage):
    """Our loop with a clock."""

    def watch(self, clock: Clock) -> None:
        """Tell the clock of each step."""
        self.clock = clock
        self.useful, self.computed = [], []

    def _step(self, which: int) -> None:
        before = (self.state.tokens.real, self.state.tokens.computed)
        super()._step(which)
        self.useful.append(self.state.tokens.real - before[0])
        self.computed.append(self.state.tokens.computed - before[1])
        self.clock.tick(self.state.step)


def ours(work: Work) -> tuple[float, float, float]:
    """The loop that the grid trains with."""
    settings = TrainingSettings(work.learning_rate, work.batch_size, 1.0, max_steps=work.steps, evaluate_every=10**9)
    offsets = work.data.example_offsets
    kind = family(work.card.family)
    pool = np.arange(len(offsets) - 1)
    task = StageTask(work.card, kind, settings, work.data, offsets, pool, None, None)
    backbone = Backbone(work.model().base_model).to(work.compute.device)
    heads = torch.nn.ModuleDict({work.card.name: kind.build_head(work.card, backbone.hidden_size)})
    reader = Reader(read_special_tokens(work.tokenizer), Model("model", pooling="cls"))
    schedule = np.zeros(work.steps, dtype=np.int64)
    clock = Clock(work)
    backbone.learn_packing(work.compute)
    with trained_part(backbone, settings, used_ids([work.data], reader.special)):
        stage = TimedStage(
            "ours", backbone, heads.to(work.compute.device), [task], schedule, settings, reader, work.compute, 1
        )
        stage.watch(clock)
        stage.run()
    return clock.rates(stage.useful, stage.computed)


class Rows(torch.utils.data.Dataset):
    """The encoded data as Trainer reads it."""

    def __init__(self, data: Encoded) -> None:
        self.data = data
        self.ids = np.split(data.tokens["input_ids"], data.offsets[1:-1])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return {"input_ids": self.ids[number], "label": int(self.data.scalars["label"][number])}


class Tick(TrainerCallback):
    """Trainer's steps on the same clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """One more step is done."""
        self.clock.tick(state.global_step)


def trainer(work: Work, to_maximum: bool, sampling: str, folder: str) -> tuple[float, float, float]:
    """Hugging Face's loop in one setting."""
    useful: list[int] = []
    computed: list[int] = []

    def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        lengths = np.asarray([len(row["input_ids"]) for row in rows])
        longest = work.card.max_length if to_maximum else int(lengths.max())
        mask = np.arange(longest)[None, :] < lengths[:, None]
        ids = np.full(mask.shape, work.config.pad_token_id, dtype=np.int64)
        ids[mask] = np.concatenate([row["input_ids"] for row in rows])
        useful.append(int(lengths.sum()))
        computed.append(ids.size)
        labels = torch.tensor([row["label"] for row in rows])
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask).long(), "labels": labels}

    clock = Clock(work)
    on_cpu = work.compute.device.type == "cpu"
    arguments = TrainingArguments(
        folder,
        per_device_train_batch_size=work.batch_size,
        max_steps=work.steps,
        learning_rate=work.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=work.steps // 10,
        weight_decay=0.01,
        optim="adamw_torch_fused",
        train_sampling_strategy=sampling,
        logging_steps=25,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=on_cpu,
        bf16=work.compute.dtype == torch.bfloat16,
        remove_unused_columns=False,
        seed=1,
    )
    loop = Trainer(work.model(), arguments, collate, Rows(work.data), callbacks=[Tick(clock)])
    loop.train()
    return clock.rates(useful, computed)


def main() -> None:
    """Print a Markdown table: a line a side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", type=Path, default=ROOT / "presets" / "local_mirror.yaml")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--task", default="anli_plus", help="a task of the family sequence")
    parser.add_argument("--vocabulary", type=int, help="pieces of the tokenizer; the preset's by default")
    parser.add_argument("--pieces", type=int, help="rows of the embedding table, as 250002 of XLM-R; the tokenizer's")
    parser.add_argument("--hidden", type=int, help="hidden size; the preset's by default")
    parser.add_argument("--layers", type=int, help="layers; the preset's by default")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    grid = read_preset(options.preset, options.data_dir.resolve())
    card = grid.cards[options.task]
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = tokenizer_of(grid, options.data_dir, options.vocabulary, Path(scratch))
        data = encoded_task(grid, card, options.data_dir, tokenizer, Path(scratch))
        pretrain = next(model.pretrain for model in grid.models.values() if model.pretrain)
        shape = dict(pretrain["architecture"])
        if options.hidden:
            shape |= {"hidden_size": options.hidden, "intermediate_size": 4 * options.hidden}
            shape["num_attention_heads"] = max(1, options.hidden // 64)
        if options.layers:
            shape["num_hidden_layers"] = options.layers
        pieces = options.pieces or options.vocabulary or pretrain["tokenizer"]["vocabulary"]
        special = read_special_tokens(tokenizer)
        more = {"vocab_size": pieces, "pad_token_id": special.pad, "num_labels": len(card.labels)}
        config = AutoConfig.for_model(shape.pop("model_type"), max_position_embeddings=514, **more, **shape)
        compute = prepare_compute("auto", options.threads)
        work = Work(config, card, data, tokenizer, compute, options.batch_size, options.steps)
        sides: dict[str, Callable[[], tuple[float, float, float]]] = {"ours": lambda: ours(work)}
        for name, (to_maximum, sampling) in SETTINGS.items():
            sides[f"Trainer, {name}"] = lambda m=to_maximum, s=sampling: trainer(work, m, s, scratch)
        found = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, run in sides.items():
                found[name].append(run())
    report({name: max(values) for name, values in found.items()})


def report(found: Mapping[str, tuple[float, float, float]]) -> None:
    """The table."""
    write = sys.stdout.write
    write("| side | useful tokens a second | computed by useful tokens | ms a step | ours is faster by |\n")
    write("| --- | ---: | ---: | ---: | ---: |\n")
    for name, (rate, padding, seconds) in found.items():
        write(f"| {name} | {rate:,.0f} | {padding:.3f} | {1000 * seconds:.1f} | {found['ours'][0] / rate:.2f} |\n")


if __name__ == "__main__":
    main()
