"""What the grid of `presets/phang2020.yaml` costs on one GPU: tokens a second, share of its peak, hours part by part.

    python benchmarks/gpu_paper_grid.py --data-dir ../shared/data
    python benchmarks/gpu_paper_grid.py --data-dir ../shared/data --device cpu --layers 2 --hidden 64 --steps 2

XLM-R Large's architecture with random weights; the lengths of real texts from a mirror, in pieces of a tokenizer
trained on the mirror's text (XLM-R's own needs the hub); the data sets' full sizes. A part's hours are its examples,
times epochs, times seconds an example. Beside it the same examples as XTREME's scripts run them: every sequence padded
to 128 tokens (384 for questions), 2 at a time with 16 accumulated, float32 with TF32, without deterministic mode. Ours
is what the preset makes a grid do, checkpointing, CUDA graphs and the size of micro-batches among it; options try
others. CCG's data are licensed, so the sentences of UD stand in for it. The rows of the vocabulary that a task's
training uses are those of the mirror's texts, fewer than a whole data set's.
"""

import argparse
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from padding import ROOT, encoded_task, read_preset, tokenizer_of  # noqa: E402  (puts the library on the path)
from stiltgrid.config.card_loading import card_from  # noqa: E402
from stiltgrid.evaluation.prediction import Predictor, Reader, TokenCount, predict_all  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402
from stiltgrid.grid.grid import Grid, Model, TrainingSettings  # noqa: E402
from stiltgrid.modeling.backbone import Backbone  # noqa: E402
from stiltgrid.modeling.device import Compute, prepare_compute  # noqa: E402
from stiltgrid.modeling.encoded import Encoded  # noqa: E402
from stiltgrid.modeling.tokenization import read_special_tokens  # noqa: E402
from stiltgrid.tasks.families import family  # noqa: E402
from stiltgrid.training.stage import Stage  # noqa: E402
from stiltgrid.training.stage_graphs import FEWEST_STEPS  # noqa: E402
from stiltgrid.training.stage_plan import StageModel, StagePlan  # noqa: E402
from stiltgrid.training.trainable import trainable_part  # noqa: E402
from stiltgrid.training.training_data import StageTask  # noqa: E402
from stiltgrid.training.vocabulary_subset import used_ids  # noqa: E402
from stiltgrid.utils.strict_yaml import read_yaml  # noqa: E402
from transformers import AutoConfig, AutoModel  # noqa: E402

WARM = 2
# Training examples of the whole data sets, and rows that a target's scoring reads in all languages and splits
# (XTREME's languages; rounded where languages differ in size).
TRAINING = {
    **{"anli_plus": 1_104_934, "mnli": 392_702, "qqp": 363_846, "squad_v2": 130_319, "squad_v1": 87_599},
    **{"hellaswag": 39_905, "ccg": 38_015, "cosmos_qa": 25_262, "commonsense_qa": 9_741},
    **{"pawsx": 49_401, "udpos": 21_253, "panx": 20_000, "tydiqa": 3_696},
}
SCORED = {
    "mnli": 15 * 7_500,
    "pawsx": 7 * 4_000,
    "udpos": 120_000,
    "panx": 400_000,
    "squad_v1": 60_000,
    "tydiqa": 9_000,
}
STAND_INS = {"ccg": "udpos"}
TUNED = ("mnli", "pawsx", "udpos", "panx", "squad_v1", "tydiqa")  # tuned models of a row: squad_v1 is XQuAD and MLQA
LARGE = {"layers": 24, "hidden": 1024}
XTREME_BATCH, XTREME_ACCUMULATED, XTREME_LENGTH, XTREME_SPAN_LENGTH = 2, 16, 128, 384


@dataclass(frozen=True)
class Measured:
    """One task's steps in one way of training."""

    examples_a_second: float
    tokens_a_second: float
    share_of_peak: float
    gigabytes: float


@dataclass(frozen=True)
class Machine:
    """What all measurements share."""

    config: Any
    compute: Compute
    tokenizer: Path
    steps: int
    peak: float

    def now(self) -> float:
        """Seconds, when all that was asked of the device is done."""
        if self.compute.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def backbone(self) -> Backbone:
        """The architecture with random weights."""
        torch.manual_seed(1)
        return Backbone(AutoModel.from_config(deepcopy(self.config), add_pooling_layer=False)).to(self.compute.device)

    def measured(self, seconds: float, examples: int, lengths: np.ndarray, parameters: int) -> Measured:
        """Rates of training on sequences of these lengths; operations as Kaplan et al. 2020 count them."""
        tokens = int(lengths.sum())
        attention = 12 * self.config.num_hidden_layers * self.config.hidden_size * int((lengths**2).sum())
        operations = 6 * parameters * tokens + attention
        peak_memory = torch.cuda.max_memory_allocated() / 2**30 if self.compute.device.type == "cuda" else 0.0
        return Measured(examples / seconds, tokens / seconds, operations / seconds / self.peak, peak_memory)


def peak_rate(compute: Compute, size: int) -> float:
    """Operations a second of one large product of matrices."""
    left, right = (torch.randn(size, size, device=compute.device, dtype=compute.dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        if compute.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def clear(compute: Compute) -> None:
    """Count peak memory anew."""
    if compute.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def ours(
    machine: Machine,
    card: TaskCard,
    data: Encoded,
    settings: TrainingSettings,
    warmed: Callable[[], object] = lambda: None,
) -> Measured:
    """Steps of the loop that the grid trains with; `warmed` is called before the clock starts."""
    clear(machine.compute)
    kind, offsets = family(card.family), data.example_offsets
    task = StageTask(card, kind, settings, data, offsets, np.arange(len(offsets) - 1), None, None)
    backbone = machine.backbone()
    if settings.gradient_checkpointing:
        backbone.checkpoint_gradients()
    backbone.enable_packing(machine.compute)
    heads = torch.nn.ModuleDict({card.name: kind.build_head(card, backbone.hidden_size)}).to(machine.compute.device)
    reader = Reader(read_special_tokens(machine.tokenizer), Model("model", pooling="cls"))
    # As long as a stage must be to be worth recording CUDA graphs; only the first steps of it are taken.
    schedule = np.zeros(max(WARM + machine.steps, FEWEST_STEPS), dtype=np.int64)
    taken: list[np.ndarray] = []
    with trainable_part(backbone, settings, used_ids([data], reader.special)):
        plan = StagePlan("ours", [task], schedule, settings, 1)
        stage = Stage(plan, StageModel(backbone, heads, reader, machine.compute))
        backbone.train()
        take = stage.orders[0].take
        stage.orders[0].take = lambda count: taken.append(take(count)) or taken[-1]  # type: ignore[method-assign]
        for _ in range(WARM):
            stage.step(0)
        warmed()
        started = machine.now()
        for _ in range(machine.steps):
            stage.step(0)
        seconds = machine.now() - started
    rows = np.concatenate([np.arange(offsets[one], offsets[one + 1]) for one in np.concatenate(taken[WARM:])])
    examples = machine.steps * settings.batch_size
    return machine.measured(seconds, examples, data.lengths[rows], backbone.matrix_parameters)


def xtreme(machine: Machine, card: TaskCard, data: Encoded) -> Measured:
    """Steps as XTREME's scripts take them; what the loss is does not matter for the time."""
    clear(machine.compute)
    length = XTREME_SPAN_LENGTH if card.family == "span" else XTREME_LENGTH
    backbone = machine.backbone().train()
    optimizer = torch.optim.AdamW(backbone.parameters(), 1e-5)
    numbers = np.random.default_rng(1).integers(len(data.example_offsets) - 1, size=4096)
    starts, stops = data.example_offsets[numbers], data.example_offsets[numbers + 1]
    at = 0

    def step() -> list[np.ndarray]:
        nonlocal at
        rows = []
        for _ in range(XTREME_ACCUMULATED):
            pair = range(at, at + XTREME_BATCH)
            some = np.concatenate([np.arange(starts[one % 4096], stops[one % 4096]) for one in pair])
            at += XTREME_BATCH
            ids = torch.randint(5, backbone.vocabulary_size, (len(some), length))
            mask = torch.from_numpy(np.arange(length)[None] < np.minimum(data.lengths[some], length)[:, None])
            device = machine.compute.device
            states = backbone.model(ids.to(device), attention_mask=mask.to(device)).last_hidden_state
            (states[:, 0].square().mean() / XTREME_ACCUMULATED).backward()
            rows.append(some)
        torch.nn.utils.clip_grad_norm_(backbone.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return rows

    step()
    started, rows = machine.now(), []
    for _ in range(max(1, machine.steps // 4)):
        rows += step()
    seconds = machine.now() - started
    lengths = np.minimum(data.lengths[np.concatenate(rows)], length)
    return machine.measured(seconds, len(rows) * XTREME_BATCH, lengths, backbone.matrix_parameters)


def scoring(machine: Machine, card: TaskCard, data: Encoded, batch_tokens: int, examples: int) -> float:
    """Examples a second that scoring reads."""
    some = data.take_examples(np.arange(min(examples, len(data.example_offsets) - 1)))
    kind, backbone = family(card.family), machine.backbone()
    # A span's scoring reads columns that only evaluation rows have; the backbone is what takes the time.
    kind, card = (family("sequence"), card) if card.family == "span" else (kind, card)
    head = kind.build_head(replace(card, labels=card.labels or ("a", "b")), backbone.hidden_size)
    head = head.to(machine.compute.device)
    reader = Reader(read_special_tokens(machine.tokenizer), Model("model", pooling="cls"))
    for turn in range(2):
        started = machine.now()
        predictor = Predictor(backbone, head, kind, card, reader, machine.compute)
        predict_all(predictor, some, batch_tokens, TokenCount())
        if turn:
            return len(some.example_offsets) / (machine.now() - started)
    raise AssertionError


def settings_of(training: Mapping[str, Any], stage: str, task: str, asked: argparse.Namespace) -> TrainingSettings:
    """The preset's settings of a task in a stage, without dev evaluations, and with what the command line changes."""
    found = Grid.training_for(SimpleNamespace(training=training), stage, task)  # type: ignore[arg-type]
    changes: dict[str, Any] = {"evaluate_every": 10**9}
    for name in ("micro_batch_tokens", "gradient_checkpointing", "cuda_graphs"):
        if getattr(asked, name) is not None:
            changes[name] = getattr(asked, name)
    return found.override(changes)


def hours_of_parts(
    training: Mapping[str, Any],
    settings: Callable[[str, str], TrainingSettings],
    rates: Mapping[tuple[str, str], float],
    scored: Mapping[str, float],
    rows: int,
    cap: int,
) -> list[tuple[str, float]]:
    """(part, hours): each intermediate row, all rows' target training by target, and their scoring.

    `rates` are examples a second by (stage, task), `scored` by target.
    """
    singles = [task for task in TRAINING if ("intermediate", task) in rates]
    seconds = {task: TRAINING[task] / rates["intermediate", task] for task in singles}
    parts = [(f"row {task}", settings("intermediate", task).epochs * seconds[task] / 3600) for task in singles]
    epochs = training.get("tasks", {}).get("multi_task", {}).get("intermediate", {}).get("epochs", 3)
    mixed = sum(min(TRAINING[task], cap) / rates["intermediate", task] for task in singles)
    parts.append(("row multi_task", epochs * mixed / 3600))
    for task in TUNED:
        if ("target", task) in rates:
            each = settings("target", task).epochs * TRAINING[task] / rates["target", task] / 3600
            parts.append((f"{rows} rows tuned on {task}", rows * each))
    parts += [(f"{rows} rows scored as {task}", rows * SCORED[task] / rate / 3600) for task, rate in scored.items()]
    return parts


def add_machine_options(parser: argparse.ArgumentParser, size: Mapping[str, int]) -> None:
    """What measurements on a GPU have in common: data, device, architecture (by default of this `size`), memory."""
    parser.add_argument("--data-dir", type=Path, required=True, help="a mirror, for the lengths of real texts")
    parser.add_argument("--preset", type=Path, default=ROOT / "presets" / "phang2020.yaml")
    parser.add_argument("--mirror-preset", type=Path, default=ROOT / "presets" / "local_mirror.yaml")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu only tries the script out")
    parser.add_argument("--layers", type=int, default=size["layers"])
    parser.add_argument("--hidden", type=int, default=size["hidden"])
    parser.add_argument("--pieces", type=int, default=250_002, help="rows of the embedding table")
    parser.add_argument("--vocabulary", type=int, help="pieces of the tokenizer that is trained for the lengths")
    parser.add_argument("--micro-batch-tokens", type=int, help="the preset's by default")
    parser.add_argument(
        "--gradient-checkpointing", action=argparse.BooleanOptionalAction, help="the preset's by default"
    )
    parser.add_argument("--cuda-graphs", action=argparse.BooleanOptionalAction, help="the preset's by default")


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_machine_options(parser, LARGE)
    parser.add_argument("--tasks", nargs="+", default=list(TRAINING))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--without-xtreme", action="store_true")
    return parser.parse_args(arguments)


def compute_on(device: str) -> Compute:
    """The GPU in its best precision; a CPU, which only tries a script out, in float32."""
    require_device(device)
    return Compute(torch.device("cpu"), torch.float32) if device == "cpu" else prepare_compute("auto")


def require_device(device: str) -> None:
    """End with a hint where a GPU is asked for and there is none; leases nothing."""
    if device != "cpu" and not torch.cuda.is_available():
        raise SystemExit("no GPU here; --device cpu --layers 2 --hidden 64 --steps 2 tries the script out")


@contextlib.contextmanager
def without_deterministic_mode() -> Iterator[None]:
    """PyTorch's default algorithms inside the block: XTREME's scripts ask for no others."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def architecture(layers: int, hidden: int, pieces: int) -> Any:
    """The configuration of an XLM-R of this size, with heads of 64 dimensions."""
    shape = {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": 4 * hidden}
    heads = max(1, hidden // 64)
    return AutoConfig.for_model(
        "xlm-roberta", vocab_size=pieces, num_attention_heads=heads, max_position_embeddings=514, **shape
    )


def lengthened(card: TaskCard, preset: Mapping[str, Any]) -> TaskCard:
    """A mirror's card with the lengths and windows that the paper's preset and the catalogue give it."""
    own = card_from(card.name, read_yaml(ROOT / "tasks" / f"{card.name}.yaml"))
    length = preset.get("tasks", {}).get(card.name, {}).get("max_length", own.max_length)
    labels = card.labels or tuple(str(number) for number in range(1363 if card.family == "tagging" else 2))
    return replace(card, max_length=length, options=own.options, labels=labels)


def main() -> None:
    """Print the rates of every task and the hours of every part, as Markdown tables."""
    asked = options_of()
    logging.basicConfig(level=logging.WARNING)
    preset, write = read_yaml(asked.preset), sys.stdout.write
    compute = compute_on(asked.device)
    config = architecture(asked.layers, asked.hidden, asked.pieces)
    peak = peak_rate(compute, 8192 if asked.device == "cuda" else 512)
    grid = read_preset(asked.mirror_preset, asked.data_dir.resolve())
    rates: dict[tuple[str, str], float] = {}
    theirs: dict[tuple[str, str], float] = {}
    scored: dict[str, float] = {}
    write(f"measured peak: {peak / 1e12:.1f} Tflop/s in {compute.dtype}; torch {torch.__version__}\n\n")
    write("| task | family | stage | way | examples a second | useful tokens a second | share of peak | peak GB |\n")
    write("| --- | --- | --- | --- | ---: | ---: | ---: | ---: |\n")
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = tokenizer_of(grid, asked.data_dir, asked.vocabulary, Path(scratch))
        machine = Machine(config, compute, tokenizer, asked.steps, peak)
        plain = replace(machine, compute=Compute(compute.device, torch.float32))
        for task in asked.tasks:
            card = lengthened(grid.cards[STAND_INS.get(task, task)], preset)
            data = encoded_task(grid, card, asked.data_dir, tokenizer, Path(scratch))
            stages = [*(["intermediate"] if task in preset["intermediates"] else []), *(["target"] * (task in TUNED))]
            for stage in stages:
                found = ours(machine, card, data, settings_of(preset["training"], stage, task, asked))
                rates[stage, task] = found.examples_a_second
                write(line(task, card.family, stage, "ours", found))
                if not asked.without_xtreme:
                    with without_deterministic_mode():
                        found = xtreme(plain, card, data)
                    theirs[stage, task] = found.examples_a_second
                    write(line(task, card.family, stage, "XTREME's settings", found))
            if task in TUNED:
                budget = preset["evaluation"]["batch_tokens"]
                scored[task] = scoring(machine, card, data, budget, 64 if asked.device == "cpu" else 8192)
            sys.stdout.flush()
    report(preset, asked, rates, theirs, scored)


def line(task: str, kind: str, stage: str, way: str, found: Measured) -> str:
    """A line of the first table."""
    numbers = f"{found.examples_a_second:,.1f} | {found.tokens_a_second:,.0f} | {found.share_of_peak:.1%}"
    return f"| {task} | {kind} | {stage} | {way} | {numbers} | {found.gigabytes:.1f} |\n"


def report(
    preset: Mapping[str, Any],
    asked: argparse.Namespace,
    rates: Mapping[tuple[str, str], float],
    theirs: Mapping[tuple[str, str], float],
    scored: Mapping[str, float],
) -> None:
    """The second table: hours part by part, and in all. Scoring counts as ours on both sides."""
    training, rows, cap = preset["training"], len(preset["intermediates"]), preset["recipes"]["multi_task"]["cap"]

    def settings(stage: str, task: str) -> TrainingSettings:
        return settings_of(training, stage, task, asked)

    mine = hours_of_parts(training, settings, rates, scored, rows, cap)
    other = dict(hours_of_parts(training, settings, theirs, scored, rows, cap)) if theirs else {}
    write = sys.stdout.write
    write("\n| part | hours, ours | hours, XTREME's settings |\n| --- | ---: | ---: |\n")
    for part, hours in [*mine, ("together", sum(hours for _, hours in mine))]:
        against = sum(other.values()) if part == "together" else other.get(part, float("nan"))
        write(f"| {part} | {hours:.2f} | {against:.2f} |\n")


if __name__ == "__main__":
    main()
