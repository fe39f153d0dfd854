"""Task embeddings: from a task's text, its sentences, its subwords, or a tuned model's Fisher information.

- text (TextEmb, Vu et al. 2020): the mean final-layer token state of the untuned backbone, without special tokens.
- sentence (SEmb, Poth et al. 2021): the mean of an encoder's sentence vectors, pooled at its retrieval layer.
- words: how often each subword occurs; a naive control that needs no model.
- fisher (TaskEmb, Vu et al. 2020): the diagonal of the empirical Fisher information of a model tuned on the task.
  That is the mean squared gradient of single examples' losses, one vector per module; and, per layer, the gradients
  with respect to its states, summed over tokens, squared, and divided by the number of tokens.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from stiltgrid.evaluation.batches import evaluation_batches, tokens_of_a_pass
from stiltgrid.evaluation.prediction import AnyPath, EvaluationPaths, Predictor, Reader, read_batches
from stiltgrid.evaluation.task_vectors import write_vectors
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import Backbone, load_backbone
from stiltgrid.modeling.batching import Batch
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.device import Compute, prepare_compute
from stiltgrid.modeling.encoded import Encoded, check_lengths, read_encoded
from stiltgrid.modeling.tokenization import SubwordTokenizer, read_special_tokens
from stiltgrid.preparation.budgets import draw_examples
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.tasks.families.embedding import FAMILY as SENTENCES
from stiltgrid.tasks.families.embedding import retrieval_layer
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.parquet import read_parquet
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)
ENGLISH, DEV = "en", "dev"
# Steps, examples per step and learning rate of a head that is fitted on the frozen backbone.
HEAD_STEPS, HEAD_BATCH, HEAD_RATE = 100, 16, 3e-3


@dataclass(frozen=True)
class EmbeddingSettings:
    """How a task is embedded: `measure` is text, sentence or words; at most `examples` of its examples are read."""

    measure: str
    model: Model
    examples: int
    batch_tokens: int | None
    threads: int = 1
    precision: str = "auto"


@dataclass(frozen=True)
class FisherSettings:
    """How a Fisher embedding is computed; `has_head` says that the checkpoint is a tuned model with its head."""

    model: Model
    card: TaskCard
    examples: int
    has_head: bool
    seed: int
    threads: int = 1
    precision: str = "auto"


def embed_task(paths: EvaluationPaths, settings: EmbeddingSettings, out: AnyPath) -> None:
    """Write a task's text, sentence or words embedding, from its English development examples where it has any.

    Without them English examples of any split are read, and without those examples of any language. No label is read.

    Raises:
        SourceError: for damaged files, or a task without sequences.
    """
    compute = prepare_compute(settings.precision, settings.threads, paths.precision)
    encoded = _english_part(read_encoded(paths.encoded), paths.rows, settings.examples)
    reader = Reader(read_special_tokens(paths.tokenizer), settings.model)
    if settings.measure == "words":
        ids = encoded.tokens["input_ids"]
        pieces = SubwordTokenizer(paths.tokenizer).vocabulary_size
        counted = np.bincount(ids[~np.isin(ids, reader.special.around)], minlength=pieces)
        write_vectors({"pieces": counted.astype(np.float64)}, out)
        return
    backbone = load_backbone(paths.checkpoint, compute.dtype).to(compute.device).eval()
    check_lengths(encoded, backbone.max_length, paths.encoded)
    layer = retrieval_layer({"retrieval_layer": settings.model.retrieval_layer}, backbone.hidden_layers)

    def text(batch: Batch) -> tuple[torch.Tensor, int]:
        states = backbone(batch).float() * batch.content_mask.unsqueeze(-1)
        return states.double().sum(dim=(0, 1)), int(batch.content_mask.sum())

    def sentence(batch: Batch) -> tuple[torch.Tensor, int]:
        return batch.pool(backbone.all_layers(batch)[layer].float()).double().sum(dim=0), len(batch)

    total, count = np.zeros(backbone.hidden_size), 0
    make = partial(reader.batch, SENTENCES, encoded)
    read = text if settings.measure == "text" else sentence
    batch_tokens = tokens_of_a_pass(settings.batch_tokens, backbone.hidden_size, compute)
    batches = evaluation_batches(encoded.lengths, batch_tokens, backbone, compute)
    for _, (states, read_count) in read_batches(make, read, batches, compute):
        total += states.cpu().numpy()
        count += read_count
    write_vectors({"mean": total / max(count, 1)}, out)
    LOG.info("%s of %d sequences", settings.measure, len(encoded))


def embed_fisher(paths: EvaluationPaths, settings: FisherSettings, out: AnyPath) -> None:
    """Write the Fisher embedding of a model tuned on a task, from at most `examples` of its training examples.

    Where the checkpoint is a row's backbone, whose head was not kept, a new head is fitted first with the backbone
    frozen. Dropout is off. Word embeddings are left out: which of them have gradients only says which words occur.

    Raises:
        SourceError: for damaged files, or a task without training sequences.
    """
    compute = prepare_compute(settings.precision, settings.threads, paths.precision)
    seed = settings.seed
    torch.manual_seed(derive_seed(seed, "fisher", settings.card.name))
    encoded = read_encoded(paths.encoded)
    task = with_labels(settings.card, encoded.table.schema)
    predictor = _load(paths, replace(settings, card=task), compute)
    check_lengths(encoded, predictor.backbone.max_length, paths.encoded)
    offsets = encoded.example_offsets
    chosen = draw_examples(len(offsets) - 1, settings.examples, derive_seed(seed, "examples", task.name))
    if not len(chosen):
        raise SourceError(f"{paths.encoded}: no training sequences for task '{task.name}'")
    groups = [np.arange(offsets[number], offsets[number + 1]) for number in chosen]
    learner = _Learner(predictor, encoded)
    if not settings.has_head:
        learner.fit_head(groups, np.random.default_rng(derive_seed(seed, "head", task.name)))
    # In-batch negatives need several examples per pass: one "example" is then a batch.
    size = 1 if predictor.family.splits_batches else HEAD_BATCH
    units = [np.concatenate(groups[start : start + size]) for start in range(0, len(groups), size)]
    write_vectors(learner.fisher(units), out)


def _load(paths: EvaluationPaths, settings: FisherSettings, compute: Compute) -> Predictor:
    """The model in evaluation mode and float32, with its own head or a new one."""
    kind = family(settings.card.family)
    reader = Reader(read_special_tokens(paths.tokenizer), settings.model)
    if settings.has_head:
        backbone, state = load_tuned(paths.checkpoint, torch.float32)
    else:
        backbone, state = load_backbone(paths.checkpoint, torch.float32), {}
    head = kind.build_head(settings.card, kind.pooled_width(backbone.hidden_size, reader.pooling(kind)))
    if settings.has_head:
        head.load_state_dict(state)
    backbone, head = backbone.to(compute.device).eval(), head.to(compute.device).eval()
    return Predictor(backbone, head, kind, settings.card, reader, compute)


class _Learner:
    """A backbone with the head of one task, and the gradients of its losses."""

    def __init__(self, predictor: Predictor, encoded: Encoded) -> None:
        assert predictor.head is not None, "gradients of a loss need a head"
        self.backbone, self.head, self.kind = predictor.backbone, predictor.head, predictor.family
        self.task, self.encoded, self.reader = predictor.card, encoded, predictor.reader
        self.device = next(predictor.backbone.parameters()).device

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
        LOG.info("%s: new head fitted, loss %.3f per example at the last step", self.task.name, last)

    def fisher(self, units: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Squared gradients by module and by layer, as means over `units` (arrays of sequence numbers)."""
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
        # The last norm and the pooled layers of some families get no gradient, and a zero vector has no cosine.
        return {name: values for name, values in found.items() if values.any()}


def _modules(backbone: Backbone) -> Iterator[tuple[str, list[torch.nn.Parameter]]]:
    """The backbone's modules with parameters of their own, except embeddings."""
    for name, module in backbone.model.named_modules():
        own = list(module.parameters(recurse=False))
        if own and "embedding" not in type(module).__name__.lower() and own[0].requires_grad:
            yield name, own


def _english_part(encoded: Encoded, rows_path: AnyPath, examples: int) -> Encoded:
    """The sequences of at most `examples` rows: English ones where there are any, of those development rows."""
    rows = read_parquet(rows_path, columns=["language", "split"])
    pool = np.unique(encoded.examples)
    if not len(pool):
        raise SourceError(f"{rows_path}: no sequences to embed")
    for column, wanted in (("language", ENGLISH), ("split", DEV)):
        part = pool[np.asarray(rows.column(column).to_pylist())[pool] == wanted]
        pool = part if len(part) else pool
    return encoded.take_examples(pool[draw_examples(len(pool), examples, derive_seed("embed", len(pool)))])
