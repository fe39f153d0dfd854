"""What stands for a task: its text, its sentences, its pieces, or a tuned model's Fisher information.

- text (TextEmb, Vu et al. 2020): the mean of the untuned backbone's final-layer token states, special tokens left out.
- sentence (SEmb, Poth et al. 2021): the mean of an encoder's sentence vectors, pooled at its retrieval layer.
- words: how often each subword occurs; a naive control that needs no model.
- fisher (TaskEmb, Vu et al. 2020): the diagonal of the empirical Fisher information of a model tuned on the task,
  the mean of squared gradients of single examples' losses, one vector a module; and of the gradients with respect to
  each layer's states, summed over tokens, squared, and divided by the tokens.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from stiltgrid.evaluation.prediction import Reader
from stiltgrid.evaluation.task_vectors import write_vectors
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.grid.params import from_params
from stiltgrid.modeling.backbone import Backbone, load_backbone
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.device import prepare_compute
from stiltgrid.modeling.encoded import Encoded, check_lengths, read_encoded
from stiltgrid.modeling.planning import length_sorted
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.preparation.budgets import draw_examples
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.base import Family
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.tasks.families.embedding import FAMILY as SENTENCES
from stiltgrid.tasks.families.embedding import retrieval_layer
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)
AnyPath = str | os.PathLike[str]
ENGLISH = "en"
# A head that was not kept is fitted anew on the frozen backbone: enough steps to read what the backbone offers.
HEAD_STEPS, HEAD_BATCH, HEAD_RATE = 100, 16, 3e-3


def embed_task(
    measure: str,
    backbone_dir: AnyPath,
    tokenizer_dir: AnyPath,
    model: Mapping[str, Any],
    encoded_path: AnyPath,
    rows_path: AnyPath,
    examples: int,
    batch_tokens: int,
    precision: str,
    threads: int,
    out: AnyPath,
) -> None:
    """Write a task's vector by text, sentence or words, from at most `examples` examples (English, where it has some).

    No label is read. Raises SourceError for damaged files and an empty task.
    """
    compute = prepare_compute(precision, threads)
    encoded = _english_part(read_encoded(encoded_path), rows_path, examples)
    reader = Reader(read_special_tokens(tokenizer_dir), from_params(Model, model))
    if measure == "words":
        ids = encoded.tokens["input_ids"]
        counted = np.bincount(ids[~np.isin(ids, reader.special.around)], minlength=_pieces(tokenizer_dir))
        write_vectors({"pieces": counted.astype(np.float64)}, out)
        return
    backbone = load_backbone(backbone_dir, compute.dtype).to(compute.device).eval()
    check_lengths(encoded, backbone.max_length, encoded_path)
    total, count = np.zeros(backbone.hidden_size), 0
    with torch.no_grad(), compute.autocast():
        for rows in length_sorted(encoded.lengths, batch_tokens):
            batch = reader.batch(SENTENCES, encoded, rows).to(compute.device)
            if measure == "text":
                states = backbone(batch).float() * batch.content_mask.unsqueeze(-1)
                total += states.double().sum(dim=(0, 1)).cpu().numpy()
                count += int(batch.content_mask.sum())
            else:
                layer = retrieval_layer({"retrieval_layer": reader.model.retrieval_layer}, backbone.hidden_layers)
                pooled = batch.pool(backbone.all_layers(batch)[layer].float())
                total += pooled.double().sum(dim=0).cpu().numpy()
                count += len(batch)
    write_vectors({"mean": total / max(count, 1)}, out)
    LOG.info("%s of %d sequences", measure, len(encoded))


def embed_fisher(
    checkpoint_dir: AnyPath,
    tokenizer_dir: AnyPath,
    model: Mapping[str, Any],
    card: Mapping[str, Any],
    encoded_path: AnyPath,
    examples: int,
    precision: str,
    seed: int,
    threads: int,
    has_head: bool,
    out: AnyPath,
) -> None:
    """Write the Fisher embedding of a model tuned on a task, over at most `examples` of its training examples.

    With `has_head` the checkpoint is a tuned model. Without, it is a row's backbone, whose head was not kept: a new
    one is fitted to it first, the backbone frozen. Dropout is off. Word embeddings are left out: which of them have
    gradients only says which words occur.
    """
    compute = prepare_compute(precision, threads)
    torch.manual_seed(derive_seed(seed, "fisher", card["name"]))
    encoded = read_encoded(encoded_path)
    task = with_labels(from_params(TaskCard, card), encoded.table.schema)
    kind = family(task.family)
    reader = Reader(read_special_tokens(tokenizer_dir), from_params(Model, model))
    if has_head:
        backbone, state = load_tuned(checkpoint_dir, torch.float32)
    else:
        backbone, state = load_backbone(checkpoint_dir, torch.float32), {}
    head = kind.build_head(task, kind.pooled_width(backbone.hidden_size, reader.pooling(kind)))
    if has_head:
        head.load_state_dict(state)
    backbone, head = backbone.to(compute.device).eval(), head.to(compute.device).eval()
    check_lengths(encoded, backbone.max_length, encoded_path)
    offsets = encoded.example_offsets
    chosen = draw_examples(len(offsets) - 1, examples, derive_seed(seed, "examples", task.name))
    if not len(chosen):
        raise SourceError(f"{encoded_path}: no training sequences for task '{task.name}'")
    groups = [np.arange(offsets[number], offsets[number + 1]) for number in chosen]
    learner = _Learner(backbone, head, kind, task, encoded, reader)
    if not has_head:
        learner.fit_head(groups, np.random.default_rng(derive_seed(seed, "head", task.name)))
    # In-batch negatives need company: one "example" is then a batch.
    size = 1 if kind.splits_batches else HEAD_BATCH
    units = [np.concatenate(groups[start : start + size]) for start in range(0, len(groups), size)]
    write_vectors(learner.fisher(units), out)


class _Learner:
    """A backbone with a head of one task, and the gradients of its losses."""

    def __init__(
        self, backbone: Backbone, head: torch.nn.Module, kind: Family, task: TaskCard, encoded: Encoded, reader: Reader
    ) -> None:
        self.backbone, self.head, self.kind, self.task = backbone, head, kind, task
        self.encoded, self.reader = encoded, reader
        self.device = next(backbone.parameters()).device

    def fit_head(self, groups: list[np.ndarray], generator: np.random.Generator) -> None:
        """Train the head alone for a fixed number of steps."""
        optimizer = torch.optim.AdamW(self.head.parameters(), lr=HEAD_RATE)
        last = 0.0
        for _ in range(HEAD_STEPS):
            drawn = generator.choice(len(groups), size=min(HEAD_BATCH, len(groups)), replace=False)
            batch = self.reader.batch(self.kind, self.encoded, np.concatenate([groups[n] for n in drawn]))
            with torch.no_grad():
                hidden = self.backbone(batch.to(self.device))
            loss = self.kind.loss(self.task, self.head, hidden, batch.to(self.device)) / len(drawn)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            last = float(loss.detach())
        LOG.info("%s: a new head, loss %.3f an example at its last step", self.task.name, last)

    def fisher(self, units: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Squared gradients by module, and by layer, as means over units."""
        modules = dict(_modules(self.backbone))
        for parameter in (*self.backbone.parameters(), *self.head.parameters()):
            parameter.requires_grad_(False)
        for parameter in (item for members in modules.values() for item in members):
            parameter.requires_grad_(True)
        squares = {name: [torch.zeros_like(item) for item in members] for name, members in modules.items()}
        layers: list[torch.Tensor] = []
        tokens = 0
        for rows in units:
            batch = self.reader.batch(self.kind, self.encoded, rows).to(self.device)
            states = self.backbone.all_layers(batch)
            for state in states:
                state.retain_grad()
            self.kind.loss(self.task, self.head, states[-1], batch).backward()
            for name, members in modules.items():
                for kept, parameter in zip(squares[name], members, strict=True):
                    if parameter.grad is not None:
                        kept.addcmul_(parameter.grad, parameter.grad)
                        parameter.grad = None
            layers = layers or [torch.zeros_like(state[0, 0]) for state in states]
            for sums, state in zip(layers, states, strict=True):
                if state.grad is not None:
                    sums += state.grad.sum(dim=(0, 1)) ** 2
            tokens += batch.real_tokens
        found = {
            name: torch.cat([item.reshape(-1) for item in kept]).double().cpu().numpy() / len(units)
            for name, kept in squares.items()
        }
        found |= {f"states{n:02d}": sums.double().cpu().numpy() / tokens for n, sums in enumerate(layers)}
        # The last norm and the pooled layers of some families see no gradient; a zero vector is alike to nothing.
        return {name: values for name, values in found.items() if values.any()}


def _modules(backbone: Backbone) -> Iterator[tuple[str, list[torch.nn.Parameter]]]:
    """The backbone's modules that have parameters of their own, embeddings left out."""
    for name, module in backbone.model.named_modules():
        own = list(module.parameters(recurse=False))
        if own and "embedding" not in type(module).__name__.lower() and own[0].requires_grad:
            yield name, own


def _english_part(encoded: Encoded, rows_path: AnyPath, examples: int) -> Encoded:
    """The sequences of at most `examples` rows, English ones where there are any."""
    languages = np.asarray(pq.read_table(rows_path, columns=["language"]).column("language").to_pylist())
    numbers = np.unique(encoded.examples)
    if not len(numbers):
        raise SourceError(f"{rows_path}: no sequences to embed")
    english = numbers[languages[numbers] == ENGLISH]
    pool = english if len(english) else numbers
    return encoded.take_examples(pool[draw_examples(len(pool), examples, derive_seed("embed", len(pool)))])


def _pieces(tokenizer_dir: AnyPath) -> int:
    from tokenizers import Tokenizer

    return int(Tokenizer.from_file(str(Path(tokenizer_dir) / "tokenizer.json")).get_vocab_size())
