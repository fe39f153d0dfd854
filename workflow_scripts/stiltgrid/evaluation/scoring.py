"""Scores of one cell: every language of a target in one pass over its encoded evaluation rows."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from stiltgrid.evaluation.prediction import Reader, TokenCount, predict_all
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation, Model
from stiltgrid.grid.params import as_params, from_params
from stiltgrid.modeling.backbone import Backbone, load_backbone
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.device import Compute, prepare_compute
from stiltgrid.modeling.encoded import check_lengths, read_encoded
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.base import Family, Measurement
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path, write_json
from stiltgrid.utils.parquet import parquet_errors
from stiltgrid.utils.provenance import describe_device, versions

LOG = logging.getLogger(__name__)


def score_target(
    checkpoint_dir: str | os.PathLike[str],
    tokenizer_dir: str | os.PathLike[str],
    model: Mapping[str, Any],
    target: Mapping[str, Any],
    head_card: Mapping[str, Any] | None,
    eval_arrow: str | os.PathLike[str],
    eval_rows: str | os.PathLike[str],
    evaluation: Mapping[str, Any],
    cell: Mapping[str, Any],
    threads: int,
    metrics_path: str | os.PathLike[str],
    predictions_path: str | os.PathLike[str],
    provenance: Mapping[str, Any],
    precision: str = "auto",
) -> None:
    """Predict, decode and measure all languages and splits of a target; write metrics and predictions.

    `checkpoint_dir` is a tuned model where `head_card` (the card of its last training stage) is given,
    else a backbone's folder, read without a head. `cell` names model, intermediate, target and seed.
    """
    started = time.monotonic()
    card: TaskCard = from_params(TaskCard, target)
    settings: Model = from_params(Model, model)
    budget: Evaluation = from_params(Evaluation, evaluation)
    kind = family(card.family)
    compute = prepare_compute(precision, threads)
    encoded = read_encoded(eval_arrow)
    with parquet_errors(eval_rows):
        rows = pq.read_table(eval_rows)
    card = with_labels(card, rows.schema)
    reader = Reader(read_special_tokens(tokenizer_dir), settings)
    backbone, head = _load(Path(checkpoint_dir), head_card, compute, reader)
    check_lengths(encoded, backbone.max_length, eval_arrow)
    _require_layer(settings, kind, backbone)
    options = {**as_params(settings), "hidden_layers": backbone.hidden_layers}
    count, parts = TokenCount(), []
    for layers in _passes(kind, backbone, len(encoded)):
        outputs = predict_all(backbone, kind, card, head, encoded, reader, compute, budget.batch_tokens, count, layers)
        parts.append(kind.decode(card, outputs, encoded.scalars, rows, {**options, "layers": layers}))
    predictions = pa.concat_tables(parts)
    measured = kind.measure(card, predictions, rows)
    _require_headline(card, kind, measured)
    with atomic_path(predictions_path) as temporary:
        pq.write_table(kind.published(predictions), temporary)
    seconds = time.monotonic() - started
    write_json(
        {
            "cell": dict(cell),
            "metric": card.metric,
            "split": headline_split(card, measured),
            "scores": [as_params(item) for item in measured],
            "provenance": {
                **as_params(provenance),
                "card": as_params(card),
                "model": as_params(settings),
                "seed": cell.get("seed"),
                "rows": _row_counts(rows),
                "sequences": len(encoded),
                "tokens": count.real,
                "computed_tokens": count.computed,
                "seconds": round(seconds, 3),
                "versions": versions(),
                **describe_device(),
            },
        },
        metrics_path,
    )
    brief = _brief(card, measured)
    LOG.info("%s: %d rows, %d tokens, %.1f s; %s", card.name, rows.num_rows, count.real, seconds, brief)


def headline_split(card: TaskCard, measured: Sequence[Measurement]) -> str:
    """The split whose score stands for the target: the card's own, else test where it was scored, else dev."""
    splits = {item.split for item in measured}
    wanted = card.headline_split or "test"
    return wanted if wanted in splits else sorted(splits)[0]


def _passes(kind: Family, backbone: Backbone, sequences: int) -> list[list[int]]:
    """Numbers of the layers that each pass over the data reads; one pass where memory holds them all."""
    layers = list(range(backbone.hidden_layers + 1))
    if not kind.reads_all_layers:
        return [layers[-1:]]
    size = kind.layers_per_pass(sequences, len(layers), backbone.hidden_size)
    return [layers[start : start + size] for start in range(0, len(layers), size)]


def _load(
    folder: Path, head_card: Mapping[str, Any] | None, compute: Compute, reader: Reader
) -> tuple[Backbone, torch.nn.Module | None]:
    if head_card is None:
        return load_backbone(folder, compute.dtype).to(compute.device), None
    backbone, state = load_tuned(folder, compute.dtype)
    card = from_params(TaskCard, head_card)
    kind = family(card.family)
    head = kind.build_head(card, kind.pooled_width(backbone.hidden_size, reader.pooling(kind)))
    try:
        head.load_state_dict(state)
    except RuntimeError as error:
        raise SourceError(f"{folder}: its head does not fit card '{card.name}' ({error}); train it again") from error
    return backbone.to(compute.device), head.to(compute.device)


def _require_layer(model: Model, kind: Family, backbone: Backbone) -> None:
    """Of a model from the hub the door does not know how deep it is: told before anything is computed."""
    asked, layers = model.retrieval_layer, backbone.hidden_layers
    if kind.reads_all_layers and asked is not None and asked > layers:
        raise SourceError(f"models.{model.name}.retrieval_layer: expected 0 to {layers}, its layers, found {asked}")


def _require_headline(card: TaskCard, kind: Family, measured: Sequence[Measurement]) -> None:
    found = sorted({item.metric for item in measured})
    if card.metric not in found:
        raise SourceError(f"card '{card.name}': family '{kind.name}' measures {', '.join(found)}, not '{card.metric}'")


def _row_counts(rows: pa.Table) -> dict[str, int]:
    counted = rows.group_by(["language", "split"]).aggregate([([], "count_all")]).to_pylist()
    return {f"{item['language']}/{item['split']}": item["count_all"] for item in counted}


def _brief(card: TaskCard, measured: Sequence[Measurement]) -> str:
    split = headline_split(card, measured)
    values = [item.value for item in measured if item.metric == card.metric and item.split == split]
    return f"{split} {card.metric} {sum(values) / len(values):.2f} over {len(values)} languages"
