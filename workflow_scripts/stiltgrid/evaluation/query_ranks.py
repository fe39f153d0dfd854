"""Every query of a retrieval task against its full pool, from any checkpoint, whatever the task's own protocol."""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stiltgrid.evaluation.prediction import Reader, TokenCount, predict_all
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.grid.params import from_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.device import prepare_compute
from stiltgrid.modeling.encoded import check_lengths, read_encoded
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.tasks.families.dual import FAMILY as DUAL
from stiltgrid.tasks.families.embedding import FAMILY as SENTENCES
from stiltgrid.tasks.families.embedding import retrieval_layer
from stiltgrid.tasks.families.mined import Side, centred
from stiltgrid.tasks.families.retrieval import by_language_and_split
from stiltgrid.utils.files import atomic_path
from stiltgrid.utils.parquet import parquet_errors

LOG = logging.getLogger(__name__)
AnyPath = str | os.PathLike[str]


def rank_queries(
    checkpoint_dir: AnyPath,
    tokenizer_dir: AnyPath,
    model: Mapping[str, Any],
    card: Mapping[str, Any],
    encoded_path: AnyPath,
    rows_path: AnyPath,
    tuned: bool,
    batch_tokens: int,
    precision: str,
    threads: int,
    out: AnyPath,
) -> None:
    """Write a row a query that has gold, in the form of the dual family's predictions (`ranks` within the first 100).

    A model `tuned` for retrieval is read as it was trained: last layer, the model's `pooling`. Any other is read
    as sentence retrieval reads it: `retrieval_layer`, `retrieval_pooling`, centred where the model's settings say so.
    The pool is the task's own: of tasks without a pool setting, all candidates of the query's language and split.
    """
    settings: Model = from_params(Model, model)
    task: TaskCard = from_params(TaskCard, card)
    compute = prepare_compute(precision, threads)
    encoded = read_encoded(encoded_path)
    with parquet_errors(rows_path):
        rows = pq.read_table(rows_path)
    backbone = load_tuned(checkpoint_dir, compute.dtype)[0] if tuned else load_backbone(checkpoint_dir, compute.dtype)
    backbone = backbone.to(compute.device)
    check_lengths(encoded, backbone.max_length, encoded_path)
    reader = Reader(read_special_tokens(tokenizer_dir), settings)
    layer = retrieval_layer({"retrieval_layer": settings.retrieval_layer}, backbone.hidden_layers)
    kind, layers = (DUAL, ()) if tuned else (SENTENCES, (layer,))
    outputs = predict_all(backbone, kind, task, None, encoded, reader, compute, batch_tokens, TokenCount(), layers)
    place = np.empty(rows.num_rows, dtype=np.int64)
    place[encoded.examples] = np.arange(len(outputs))
    vectors = np.stack([np.asarray(item).reshape(-1) for item in outputs])[place]
    if settings.retrieval_centred and not tuned:
        vectors = centred([Side.of(rows, members) for members in by_language_and_split(rows).values()], vectors)
    if "group" not in rows.column_names:
        rows = rows.append_column("group", rows.column("id"))
        task = replace(task, options={**task.options, "pool": "per_language"})
    ranked = DUAL.decode(task, list(vectors), {"example": np.arange(len(vectors))}, rows, {})
    ranked = ranked.filter(pc.greater(ranked.column("relevant"), pa.scalar(0, pa.int32())))
    with atomic_path(Path(out)) as temporary:
        pq.write_table(ranked, temporary)
    LOG.info("%s: %d queries ranked", task.name, ranked.num_rows)
