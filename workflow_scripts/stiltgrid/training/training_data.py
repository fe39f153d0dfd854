"""The data of a training stage: encoded examples and dev sets of its tasks, and how tasks are mixed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Recipe, TrainingSettings
from stiltgrid.grid.params import from_params
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.batching import Batch, token_positions
from stiltgrid.modeling.encoded import Encoded, check_lengths, read_encoded
from stiltgrid.modeling.planning import ExampleOrder
from stiltgrid.preparation.budgets import draw_examples, mixing_weights
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.base import Family
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.parquet import read_parquet
from stiltgrid.utils.seeding import derive_seed


@dataclass(frozen=True)
class DevSet:
    """Development rows for early stopping, and their sequences."""

    encoded: Encoded
    rows: pa.Table

    def fewer(self, kind: Family, wanted: int) -> "DevSet":
        """A subsample of `wanted` rows, as the family draws it; all rows where there are no more."""
        if wanted >= self.rows.num_rows:
            return self
        return _drawn(kind, self.encoded, self.rows, wanted)


@dataclass(frozen=True)
class StageTask:
    """One task of a stage; `pool` holds the numbers of the examples that may be drawn."""

    card: TaskCard
    family: Family
    settings: TrainingSettings
    train: Encoded
    offsets: np.ndarray
    pool: np.ndarray
    dev: DevSet | None
    rows_path: str | None

    @property
    def mean_tokens(self) -> float:
        """Mean number of tokens of the examples in the pool."""
        edges = self.train.offsets[self.offsets]
        return float((edges[self.pool + 1] - edges[self.pool]).mean())

    def order(self, seed: int) -> ExampleOrder:
        """The order in which steps take examples."""
        return ExampleOrder(self.pool, seed)

    def build_head(self, backbone: Backbone, reader: Reader) -> torch.nn.Module:
        """A new head for the backbone's hidden states as the reader pools them."""
        width = self.family.pooled_width(backbone.hidden_size, reader.pooling(self.family))
        return self.family.build_head(self.card, width)

    def batch(self, reader: Reader, rows: np.ndarray, step: int, packed: bool = False) -> Batch:
        """A micro-batch of some sequences; tasks that draw masks in each step use `step`."""
        return reader.batch(self.family, self.train, rows, packed)

    def loss_weight(self, rows: np.ndarray, step: int) -> float:
        """The number of loss terms in a step's sequences, by which the summed loss is divided."""
        scalars, tokens = token_columns(self.train, rows)
        return self.family.loss_weight(scalars, tokens, len(rows))

    def example_ids(self, examples: np.ndarray) -> list[str]:
        """Ids of examples, or their row numbers where the file of rows is missing."""
        numbers = self.train.examples[self.offsets[examples]]
        if self.rows_path is None or not Path(self.rows_path).is_file():
            return [f"row {number + 1}" for number in numbers]
        ids = read_parquet(self.rows_path, columns=["id"]).column("id")
        return [ids[int(number)].as_py() for number in numbers]


def steps_for(examples: int, settings: TrainingSettings) -> int:
    """Optimizer steps for so many examples and the settings' epochs; at least one, at most `max_steps`."""
    steps = max(1, int(np.ceil(settings.epochs * examples / settings.batch_size - 1e-9)))
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


def load_stage_task(task: Mapping[str, Any], seed: int, limit: int | None = None) -> StageTask:
    """Open one task of a stage from its params: card, settings, and the paths train, dev and dev_rows.

    The optional path `train_rows` only serves to name examples in errors. `limit` is the backbone's maximum length in
    tokens. Raises SourceError for empty data or longer sequences.
    """
    settings: TrainingSettings = from_params(TrainingSettings, task["settings"])
    train = read_encoded(task["train"])
    card = with_labels(from_params(TaskCard, task["card"]), train.table.schema)
    if not len(train):
        raise SourceError(f"{task['train']}: no training sequences for task '{card.name}'")
    check_lengths(train, limit, task["train"])
    offsets = train.example_offsets
    pool = draw_examples(len(offsets) - 1, settings.examples, derive_seed(seed, "examples", card.name))
    kind = family(card.family)
    dev = _load_dev(kind, task, settings.dev_examples, limit) if task.get("dev") else None
    return StageTask(card, kind, settings, train, offsets, pool, dev, task.get("train_rows"))


def _load_dev(kind: Family, task: Mapping[str, Any], wanted: int | None, limit: int | None) -> DevSet | None:
    rows = read_parquet(task["dev_rows"])
    encoded = read_encoded(task["dev"])
    check_lengths(encoded, limit, task["dev"])
    dev = _drawn(kind, encoded, rows, wanted, pc.equal(rows.column("language"), "en"))
    return dev if dev.rows.num_rows else None


def _drawn(kind: Family, encoded: Encoded, rows: pa.Table, wanted: int | None, first: Any = None) -> DevSet:
    """`wanted` rows (None: all) of those that the mask `first` selects, or of all rows where it selects none."""
    numbered = rows.append_column("row", pa.array(np.arange(rows.num_rows)))
    marked = numbered if first is None else numbered.filter(first)
    numbered = marked if marked.num_rows else numbered
    if wanted is not None:
        numbered = kind.subsample(numbered, wanted)
    chosen = numbered.column("row").to_numpy()
    return DevSet(encoded.take_examples(chosen), rows.take(pa.array(chosen)))


def token_columns(encoded: Encoded, rows: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(scalars, tokens) columns of some sequences, without token ids, as `loss_weight` reads them."""
    positions = token_positions(encoded, rows)
    scalars = {name: column[rows] for name, column in encoded.scalars.items()}
    return scalars, {name: column[positions] for name, column in encoded.tokens.items() if name != "input_ids"}


def draw_schedule(tasks: Sequence[StageTask], recipe: Recipe, max_steps: int | None, seed: int) -> np.ndarray:
    """(steps,): the number of the task that each step trains, drawn by the recipe's mixing weights."""
    cap = recipe.cap if recipe.cap is not None else np.inf
    steps = sum(steps_for(int(min(len(task.pool), cap)), task.settings) for task in tasks)
    steps = steps if max_steps is None else min(steps, max_steps)
    if len(tasks) < 2:
        return np.zeros(steps, dtype=np.int64)
    weights = mixing_weights([len(task.pool) for task in tasks], recipe)
    return np.random.default_rng(seed).choice(len(tasks), size=steps, p=weights)
