"""How many tokens training computes for each useful one, without training anything.

    python benchmarks/padding.py --preset presets/local_mirror.yaml --data-dir ../shared/data
    python benchmarks/padding.py --preset config.yaml --encoded results/encoded/mini

Encodes the training data of some tasks as the grid would (or reads what a grid has encoded) and plans optimiser steps
on it. Ways beside each other:
every sequence padded to the task's maximum length; each step padded to its longest sequence; this project's plans of
micro-batches of similar lengths, which backbones get that cannot be packed (for the preset's model on a CPU, XLM-R Base
on a CPU, XLM-R Large on a GPU, where passes of few tokens are bound by launches, so that padding costs no time); and
packed: all layers but attention compute no padding at all (`packed`), attention some where it works in groups of like
lengths (`attention`, a CPU's way). The examples of each step are the same for all.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from stiltgrid.config.card_loading import card_from  # noqa: E402
from stiltgrid.config.loading import load_grid  # noqa: E402
from stiltgrid.data.sources import open_source  # noqa: E402
from stiltgrid.grid.cards import TaskCard  # noqa: E402
from stiltgrid.grid.grid import Grid  # noqa: E402
from stiltgrid.modeling.batching import make_batch  # noqa: E402
from stiltgrid.modeling.encoded import Encoded, read_encoded  # noqa: E402
from stiltgrid.modeling.planning import ExampleOrder, PassCost, pass_cost, plan_step  # noqa: E402
from stiltgrid.preparation.encode import encode_file  # noqa: E402
from stiltgrid.preparation.prepare import prepare_train  # noqa: E402
from stiltgrid.preparation.raw_text import prepare_text  # noqa: E402
from stiltgrid.preparation.tokenizers import train_tokenizer  # noqa: E402
from stiltgrid.tasks.families import family  # noqa: E402
from stiltgrid.utils.strict_yaml import read_yaml  # noqa: E402

TASKS = ("squad_v1", "squad_v2", "anli_plus", "mnli", "qqp", "udpos", "panx", "hellaswag", "commonsense_qa")
WAYS = ("maximum", "step", "preset_cpu", "base_cpu", "large_gpu", "packed", "attention")


def read_preset(path: Path, data_dir: Path | None) -> Grid:
    """The preset's grid, on a mirror where one is given."""
    return load_grid({**read_yaml(path), **({"data_dir": str(data_dir)} if data_dir else {})}, ROOT)


def tokenizer_of(grid: Grid, data_dir: Path, vocabulary: int | None, folder: Path) -> Path:
    """A tokenizer trained as the preset's first pretrained model says, with another vocabulary if asked."""
    settings: Mapping[str, Any] = next(model.pretrain for model in grid.models.values() if model.pretrain)
    prepare_text(
        open_source("local", str(data_dir)), settings["languages"], settings.get("characters"), folder / "text.parquet"
    )
    asked = {**settings["tokenizer"], **({} if vocabulary is None else {"vocabulary": vocabulary})}
    train_tokenizer(folder / "text.parquet", asked, folder / "tokenizer")
    return folder / "tokenizer"


def encoded_task(grid: Grid, card: TaskCard, data_dir: Path, tokenizer: Path, folder: Path) -> Encoded:
    """The training data of a task, prepared and encoded in a scratch folder."""
    train, dev, arrow = (folder / f"{card.name}.{name}" for name in ("train.parquet", "dev.parquet", "arrow"))
    source = open_source("local", str(data_dir))
    prepare_train(card, grid.origin_cards(card.name), card.train_languages, source, train, dev)
    encode_file(card, train, tokenizer, arrow, card.max_length, True)
    return read_encoded(arrow)


def with_own_lengths(card: TaskCard) -> TaskCard:
    """The task with the maximum and the windows of its own card, whatever a preset says."""
    own = card_from(card.name, read_yaml(ROOT / "tasks" / f"{card.name}.yaml"))
    return replace(card, max_length=own.max_length, options=own.options)


def costs_of(grid: Grid) -> dict[str, PassCost]:
    """What passes cost for the preset's pretrained model and for two published sizes (layers, their parameters)."""
    shape: Mapping[str, int] = next(model.pretrain for model in grid.models.values() if model.pretrain)["architecture"]
    layers, hidden = shape["num_hidden_layers"], shape["hidden_size"]
    own = layers * (4 * hidden**2 + 2 * hidden * shape["intermediate_size"])
    return {
        "preset_cpu": pass_cost("cpu", layers, own),
        "base_cpu": pass_cost("cpu", 12, 85_000_000),
        "large_gpu": pass_cost("cuda", 24, 302_000_000),
    }


def shares(
    data: Encoded, card: TaskCard, ways: Mapping[str, PassCost], batch_size: int, steps: int, limit: int
) -> dict[str, float]:
    """Computed by useful tokens for each way of batching, over the same seeded steps."""
    kind, offsets = family(card.family), data.example_offsets
    order = ExampleOrder(np.arange(len(offsets) - 1), seed=1)
    computed = dict.fromkeys(WAYS, 0)
    useful = 0
    for _ in range(steps):
        examples = order.take(batch_size)
        whole = plan_step(data, offsets, examples, limit, PassCost(), splits_batches=False)[0]
        useful += int(data.lengths[whole].sum())
        computed["maximum"] += (card.max_length or int(data.lengths.max())) * len(whole)
        computed["step"] += int(data.lengths[whole].max()) * len(whole)
        for name, cost in ways.items():
            plan = plan_step(data, offsets, examples, limit, cost, kind.splits_batches, kind.splits_examples)
            computed[name] += sum(int(data.lengths[part].max()) * len(part) for part in plan)
        parted = (kind.splits_batches, kind.splits_examples)
        for part in plan_step(data, offsets, examples, limit, PassCost(), *parted, packed=True):
            batch = make_batch(data, part, 0, packed=True)
            computed["packed"] += batch.computed_tokens
            computed["attention"] += batch.packing.attended if batch.packing else 0
    return {name: value / useful for name, value in computed.items()}


def sources(options: argparse.Namespace, grid: Grid, scratch: Path) -> Iterator[tuple[TaskCard, Encoded]]:
    """Each task's card and encoded training data."""
    if options.encoded:
        asked = options.tasks or [path.parent.name for path in sorted(options.encoded.glob("*/train.arrow"))]
        for name in asked:
            yield grid.cards[name], read_encoded(options.encoded / name / "train.arrow")
        return
    tokenizer = tokenizer_of(grid, options.data_dir, options.vocabulary, scratch)
    for name in options.tasks or TASKS:
        card = grid.cards[name]
        if options.own_lengths:
            card = with_own_lengths(card)
        yield card, encoded_task(grid, card, options.data_dir, tokenizer, scratch)


def main() -> None:
    """Print a Markdown table: a line a task, computed by useful tokens for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", type=Path, default=ROOT / "presets" / "local_mirror.yaml")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data-dir", type=Path, help="a mirror, whose data are encoded first")
    where.add_argument("--encoded", type=Path, help="a folder of a grid's encoded data, results/encoded/MODEL")
    parser.add_argument("--tasks", nargs="+", help="all that a grid has encoded, or some of the mirror's")
    parser.add_argument("--vocabulary", type=int, help="pieces of the tokenizer; the preset's by default")
    parser.add_argument("--own-lengths", action="store_true", help="the cards' lengths and windows, not the preset's")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--limit", type=int, default=16384, help="tokens of a micro-batch at most")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    grid = read_preset(options.preset, options.data_dir and options.data_dir.resolve())
    costs = costs_of(grid)
    write = sys.stdout.write
    titles = ["task", "family", "longest", "mean tokens", *WAYS]
    write("| " + " | ".join(titles) + " |\n| --- | --- |" + " ---: |" * (len(titles) - 2) + "\n")
    with tempfile.TemporaryDirectory() as scratch:
        for card, data in sources(options, grid, Path(scratch)):
            found = shares(data, card, costs, options.batch_size, options.steps, options.limit)
            values = [f"{found[column]:.2f}" for column in WAYS]
            line = [card.name, card.family, str(data.lengths.max()), f"{data.lengths.mean():.0f}", *values]
            write("| " + " | ".join(line) + " |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
