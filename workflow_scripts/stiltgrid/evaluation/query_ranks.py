"""Ranks of every query of a retrieval task in its full pool, for any checkpoint, whatever the task's own protocol."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stiltgrid.evaluation.batches import tokens_of_a_pass
from stiltgrid.evaluation.prediction import AnyPath, EvaluationPaths, Predictor, Reader, TokenCount, predict_all
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.device import Compute, prepare_compute
from stiltgrid.modeling.encoded import Encoded, check_lengths, read_encoded
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.tasks.families.dual import FAMILY as DUAL
from stiltgrid.tasks.families.embedding import FAMILY as SENTENCES
from stiltgrid.tasks.families.embedding import retrieval_layer
from stiltgrid.tasks.families.mined import Side, centred
from stiltgrid.tasks.families.retrieval import by_language_and_split
from stiltgrid.utils.files import atomic_path
from stiltgrid.utils.parquet import read_parquet, write_parquet

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RankingSettings:
    """How queries are ranked; `tuned` says that the checkpoint is a model trained for retrieval."""

    model: Model
    card: TaskCard
    tuned: bool
    batch_tokens: int | None
    threads: int = 1
    precision: str = "auto"


def rank_queries(paths: EvaluationPaths, settings: RankingSettings, out: AnyPath) -> None:
    """Write one row per query that has gold, in the form of the dual family's predictions (`ranks` up to 100).

    A model tuned for retrieval is read as it was trained: last layer, the model's `pooling`. Any other is read as
    sentence retrieval reads it: `retrieval_layer`, `retrieval_pooling`, centred where the model's settings say so.
    The pool is the task's own; for tasks without a pool option, all candidates of the query's language and split.

    Raises:
        SourceError: for damaged files, or sequences longer than the model reads.
    """
    compute = prepare_compute(settings.precision, settings.threads, paths.precision)
    encoded = read_encoded(paths.encoded)
    rows = read_parquet(paths.rows)
    vectors = _vectors(paths, settings, encoded, compute)
    place = np.empty(rows.num_rows, dtype=np.int64)
    place[encoded.examples] = np.arange(len(vectors))
    vectors = vectors[place]
    card = settings.card
    if settings.model.retrieval_centred and not settings.tuned:
        vectors = centred([Side.of(rows, members) for members in by_language_and_split(rows).values()], vectors)
    if "group" not in rows.column_names:
        rows = rows.append_column("group", rows.column("id"))
        card = replace(card, options={**card.options, "pool": "per_language"})
    ranked = DUAL.decode(card, list(vectors), {"example": np.arange(len(vectors))}, rows, {})
    ranked = ranked.filter(pc.greater(ranked.column("relevant"), pa.scalar(0, pa.int32())))
    with atomic_path(Path(out)) as temporary:
        write_parquet(ranked, temporary)
    LOG.info("%s: %d queries ranked", card.name, ranked.num_rows)


def _vectors(paths: EvaluationPaths, settings: RankingSettings, encoded: Encoded, compute: Compute) -> np.ndarray:
    """(sequences, hidden): one vector per encoded sequence, in the file's order."""
    if settings.tuned:
        backbone = load_tuned(paths.checkpoint, compute.dtype)[0].to(compute.device)
    else:
        backbone = load_backbone(paths.checkpoint, compute.dtype).to(compute.device)
    check_lengths(encoded, backbone.max_length, paths.encoded)
    reader = Reader(read_special_tokens(paths.tokenizer), settings.model)
    layer = retrieval_layer({"retrieval_layer": settings.model.retrieval_layer}, backbone.hidden_layers)
    family, layers = (DUAL, ()) if settings.tuned else (SENTENCES, (layer,))
    predictor = Predictor(backbone, None, family, settings.card, reader, compute)
    batch_tokens = tokens_of_a_pass(settings.batch_tokens, backbone.hidden_size, compute)
    outputs = predict_all(predictor, encoded, batch_tokens, TokenCount(), layers)
    return np.stack([np.asarray(item).reshape(-1) for item in outputs])
