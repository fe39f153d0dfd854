"""Training steps of this project beside Hugging Face's `Trainer`: useful tokens a second, on the same work.

    python benchmarks/trainer_comparison.py --data-dir ../shared/data --tasks anli_plus udpos squad_v1 commonsense_qa

Same architecture, head, real data, examples a step, number of steps, fused AdamW, precision and threads, or with
`--defaults` each side in its default precision (ours `auto`, Trainer's float32). On Trainer's side transformers' own
models and losses, for all families that it has them for. Trainer runs in three settings: every sequence padded to the
task's maximum, each batch to its longest, and batches of similar lengths (which are other batches: ours keep the
examples of each step as they were drawn). The sides take turns; the best of the rounds counts. On a CPU the clock is
the process's own processor time, so other work on the machine disturbs less.
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

from padding import ROOT, encoded_task, read_preset, tokenizer_of, with_own_lengths  # noqa: E402  (puts the library on the path)
from stiltgrid.evaluation.prediction import Reader  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402
from stiltgrid.grid.grid import Grid, Model, TrainingSettings  # noqa: E402
from stiltgrid.modeling.backbone import Backbone  # noqa: E402
from stiltgrid.modeling.batching import Batch, make_batch  # noqa: E402
from stiltgrid.modeling.device import Compute, prepare_compute  # noqa: E402
from stiltgrid.modeling.encoded import Encoded  # noqa: E402
from stiltgrid.modeling.precision import cpu_choice  # noqa: E402
from stiltgrid.modeling.tokenization import read_special_tokens  # noqa: E402
from stiltgrid.tasks.families import family  # noqa: E402
from stiltgrid.training.stage import Stage  # noqa: E402
from stiltgrid.training.stage_plan import StageModel, StagePlan  # noqa: E402
from stiltgrid.training.trainable import trainable_part  # noqa: E402
from stiltgrid.training.training_data import StageTask  # noqa: E402
from stiltgrid.training.vocabulary_subset import used_ids  # noqa: E402
from torch.nn.functional import pad  # noqa: E402
from transformers import AutoConfig, Trainer, TrainerCallback, TrainingArguments  # noqa: E402
from transformers.models.auto import modeling_auto as models  # noqa: E402

WARM = 3  # steps before the clock starts
# Trainer's grouping sorts so many batches at a time, longest first: fewer would count its fullest batches alone.
GROUPED_BATCHES = 50
SETTINGS = {"pad to maximum": (True, "random"), "dynamic padding": (False, "random")} | {
    "group by length": (False, "group_by_length")
}
MODELS = {
    "sequence": models.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "tagging": models.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    "span": models.MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    "choice": models.MODEL_FOR_MULTIPLE_CHOICE_MAPPING,
}
IGNORED = -100  # the tag of tokens without one, in both sides' losses
# What these models are told beside their input.
TARGETS: Mapping[str, Callable[[Batch], dict[str, torch.Tensor]]] = {
    "sequence": lambda batch: {"labels": batch.scalars["label"]},
    "tagging": lambda batch: {"labels": batch.padded(batch.tokens["tag"], IGNORED)},
    "span": lambda batch: {"start_positions": batch.scalars["start"], "end_positions": batch.scalars["end"]},
    "choice": lambda batch: {"labels": batch.scalars["gold"].view(examples_of(batch), -1).argmax(1)},
}


def examples_of(batch: Batch) -> int:
    """How many examples of multiple choice, all with as many options, a batch holds."""
    return int((batch.scalars["option"] == 0).sum())


@dataclass(frozen=True)
class Work:
    """What every side does."""

    config: Any
    card: TaskCard
    data: Encoded
    tokenizer: Path
    compute: Compute
    own: Compute  # of our side
    batch_size: int
    steps: int
    learning_rate: float = 1e-3

    def model(self) -> Any:
        """The architecture with its classification head, weights drawn by one seed."""
        torch.manual_seed(1)
        return MODELS[self.card.family][type(self.config)](deepcopy(self.config))

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
        """Report each step to the clock."""
        self.clock = clock
        self.useful, self.computed = [], []

    def step(self, which: int) -> None:
        """One step, timed."""
        before = (self.state.tokens.real, self.state.tokens.computed)
        super().step(which)
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
    backbone = Backbone(work.model().base_model).to(work.own.device)
    heads = torch.nn.ModuleDict({work.card.name: kind.build_head(work.card, backbone.hidden_size)})
    reader = Reader(read_special_tokens(work.tokenizer), Model("model", pooling="cls"))
    schedule = np.zeros(work.steps, dtype=np.int64)
    clock = Clock(work)
    backbone.enable_packing(work.own)
    with trainable_part(backbone, settings, used_ids([work.data], reader.special)):
        model = StageModel(backbone, heads.to(work.own.device), reader, work.own)
        stage = TimedStage(StagePlan("ours", [task], schedule, settings, 1), model)
        stage.watch(clock)
        stage.run()
    return clock.rates(stage.useful, stage.computed)


class Rows(torch.utils.data.Dataset):
    """The examples as Trainer reads them: their numbers, and their longest sequences, by which it groups them."""

    def __init__(self, data: Encoded) -> None:
        self.data, self.offsets = data, data.example_offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> dict[str, Any]:
        rows = np.arange(self.offsets[number], self.offsets[number + 1])
        longest = rows[self.data.lengths[rows].argmax()]
        ids = self.data.tokens["input_ids"][self.data.offsets[longest] : self.data.offsets[longest + 1]]
        return {"input_ids": ids, "rows": rows}


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

    def collate(examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rows = np.concatenate([example["rows"] for example in examples])
        batch = make_batch(work.data, rows, work.config.pad_token_id)
        more = (0, work.card.max_length - batch.input_ids.shape[1] if to_maximum else 0)
        ids, mask = pad(batch.input_ids, more, value=work.config.pad_token_id), pad(batch.attention_mask.long(), more)
        targets = TARGETS[work.card.family](batch)
        if work.card.family == "tagging":
            targets = {name: pad(value, more, value=IGNORED) for name, value in targets.items()}
        if work.card.family == "choice":
            ids, mask = (item.view(examples_of(batch), -1, ids.shape[1]) for item in (ids, mask))
        useful.append(batch.real_tokens)
        computed.append(ids.numel())
        return {"input_ids": ids, "attention_mask": mask, **targets}

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


def work_of(options: argparse.Namespace, grid: Grid, card: TaskCard, tokenizer: Path, scratch: Path) -> Work:
    """A task's work: its encoded data, and the model that the options ask for."""
    data = encoded_task(grid, card, options.data_dir, tokenizer, scratch)
    pretrain = next(model.pretrain for model in grid.models.values() if model.pretrain)
    shape = dict(pretrain["architecture"])
    if options.hidden:
        shape |= {"hidden_size": options.hidden, "intermediate_size": 4 * options.hidden}
        shape["num_attention_heads"] = max(1, options.hidden // 64)
    if options.layers:
        shape["num_hidden_layers"] = options.layers
    pieces = options.pieces or options.vocabulary or pretrain["tokenizer"]["vocabulary"]
    outputs = len(card.labels) if card.family in ("sequence", "tagging") else 2
    more = {"vocab_size": pieces, "pad_token_id": read_special_tokens(tokenizer).pad, "num_labels": outputs}
    config = AutoConfig.for_model(shape.pop("model_type"), max_position_embeddings=514, **more, **shape)
    compute = prepare_compute("auto", options.threads)
    own = compute
    if options.defaults and compute.device.type == "cpu":
        own = prepare_compute(cpu_choice(config.hidden_size), options.threads)
        compute = prepare_compute("fp32", options.threads)
    return Work(config, card, data, tokenizer, compute, own, options.batch_size, options.steps)


def compare(work: Work, rounds: int, scratch: str) -> list[tuple[float, float, float]]:
    """The best round of ours and of each of Trainer's settings."""
    sides: list[Callable[[], tuple[float, float, float]]] = [lambda: ours(work)]
    for to_maximum, sampling in SETTINGS.values():
        sides.append(lambda m=to_maximum, s=sampling: trainer(work, m, s, scratch))
    found = [[side() for side in sides] for _ in range(rounds)]
    return [max(values) for values in zip(*found, strict=True)]


def main() -> None:
    """Print a Markdown table: a line a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", type=Path, default=ROOT / "presets" / "local_mirror.yaml")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["anli_plus"], help=f"tasks of the families {', '.join(MODELS)}")
    parser.add_argument("--own-lengths", action="store_true", help="the cards' lengths and windows, not the preset's")
    parser.add_argument("--vocabulary", type=int, help="pieces of the tokenizer; the preset's by default")
    parser.add_argument("--pieces", type=int, help="rows of the embedding table, as 250002 of XLM-R; the tokenizer's")
    parser.add_argument("--hidden", type=int, help="hidden size; the preset's by default")
    parser.add_argument("--layers", type=int, help="layers; the preset's by default")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--defaults", action="store_true", help="on a CPU: our `auto` beside Trainer's float32")
    parser.add_argument("--steps", type=int, default=WARM + GROUPED_BATCHES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    grid = read_preset(options.preset, options.data_dir.resolve())
    write = sys.stdout.write
    titles = ["task", "family", "useful tokens a second, ours", *(f"beside {name} (padding)" for name in SETTINGS)]
    write("| " + " | ".join(titles) + " |\n| --- | --- |" + " ---: |" * (len(titles) - 2) + "\n")
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = tokenizer_of(grid, options.data_dir, options.vocabulary, Path(scratch))
        for name in options.tasks:
            card = with_own_lengths(grid.cards[name]) if options.own_lengths else grid.cards[name]
            work = work_of(options, grid, card, tokenizer, Path(scratch))
            (rate, _, _), *others = compare(work, options.rounds, scratch)
            cells = [f"{rate / other:.2f} ({padding:.2f})" for other, padding, _ in others]
            write("| " + " | ".join([name, card.family, f"{rate:,.0f}", *cells]) + " |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
