"""Scores of one cell: all languages of a target in one pass over its encoded evaluation rows."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from stiltgrid.evaluation.batches import tokens_of_a_pass
from stiltgrid.evaluation.prediction import AnyPath, EvaluationPaths, Predictor, Reader, TokenCount, predict_all
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Evaluation, Model
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.backbone import Backbone, load_backbone
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.device import Compute, prepare_compute
from stiltgrid.modeling.encoded import Encoded, check_lengths, read_encoded
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.base import Family, Measurement
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path, write_json
from stiltgrid.utils.parquet import read_parquet, write_parquet
from stiltgrid.utils.provenance import describe_device, versions

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoringSettings:
    """How a cell is scored.

    Attributes:
        card: the target.
        head: the card of the target's last training stage; None where a backbone is read without a head.
        cell: model, intermediate, target and seed, as metrics.json names them.
        provenance: further facts for metrics.json.
    """

    model: Model
    card: TaskCard
    head: TaskCard | None
    cell: Mapping[str, Any]
    batch_tokens: int | None = Evaluation.batch_tokens
    threads: int = 1
    precision: str = "auto"
    provenance: Mapping[str, Any] = field(default_factory=dict)


def score_target(
    paths: EvaluationPaths, settings: ScoringSettings, metrics_path: AnyPath, predictions_path: AnyPath
) -> None:
    """Predict, decode and measure all languages and splits of a target; write metrics and predictions.

    The checkpoint is a tuned model where `settings.head` is given, otherwise a backbone's folder.

    Raises:
        SourceError: for damaged files, sequences longer than the model reads, or a head that does not fit its card.
    """
    started = time.monotonic()
    compute = prepare_compute(settings.precision, settings.threads, paths.precision)
    encoded = read_encoded(paths.encoded)
    rows = read_parquet(paths.rows)
    card = with_labels(settings.card, rows.schema)
    predictor = _load(paths, replace(settings, card=card), compute)
    check_lengths(encoded, predictor.backbone.max_length, paths.encoded)
    _require_layer(settings.model, predictor)
    count = TokenCount()
    batch_tokens = tokens_of_a_pass(settings.batch_tokens, predictor.backbone.hidden_size, compute)
    predictions = _predict(predictor, encoded, rows, batch_tokens, count)
    measured = predictor.family.measure(card, predictions, rows)
    _require_headline(card, predictor.family, measured)
    with atomic_path(predictions_path) as temporary:
        write_parquet(predictor.family.published(predictions), temporary)
    seconds = time.monotonic() - started
    facts = {
        "rows": _row_counts(rows),
        "sequences": len(encoded),
        "tokens": count.real,
        "computed_tokens": count.computed,
        "batch_tokens": batch_tokens,
        "seconds": round(seconds, 3),
        "dtype": str(compute.dtype).removeprefix("torch."),
    }
    write_json(_record(replace(settings, card=card), measured, facts), metrics_path)
    summary = _summary(card, measured)
    read = (rows.num_rows, count.real, batch_tokens)
    LOG.info("%s: %d rows, %d tokens (at most %d in a pass), %.1f s; %s", card.name, *read, seconds, summary)


def _record(settings: ScoringSettings, measured: Sequence[Measurement], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics.json: a cell's scores and their provenance."""
    return {
        "cell": dict(settings.cell),
        "metric": settings.card.metric,
        "split": headline_split(settings.card, measured),
        "scores": [as_params(item) for item in measured],
        "provenance": {
            **as_params(settings.provenance),
            "card": as_params(settings.card),
            "model": as_params(settings.model),
            "seed": settings.cell.get("seed"),
            **facts,
            "versions": versions(),
            **describe_device(),
        },
    }


def headline_split(card: TaskCard, measured: Sequence[Measurement]) -> str:
    """The split of the target's headline score: the card's own, else test if it was scored, else dev."""
    splits = {item.split for item in measured}
    wanted = card.headline_split or "test"
    return wanted if wanted in splits else sorted(splits)[0]


def _predict(predictor: Predictor, encoded: Encoded, rows: pa.Table, batch_tokens: int, count: TokenCount) -> pa.Table:
    """Decoded predictions of all rows, from as many passes over the data as memory asks for."""
    kind, backbone = predictor.family, predictor.backbone
    options = {**as_params(predictor.reader.model), "hidden_layers": backbone.hidden_layers}
    tables = []
    for layers in _passes(kind, backbone, len(encoded)):
        outputs = predict_all(predictor, encoded, batch_tokens, count, layers)
        tables.append(kind.decode(predictor.card, outputs, encoded.scalars, rows, {**options, "layers": layers}))
    return pa.concat_tables(tables)


def _passes(kind: Family, backbone: Backbone, sequences: int) -> list[list[int]]:
    """Numbers of the layers that each pass over the data reads; one pass where memory holds them all."""
    layers = list(range(backbone.hidden_layers + 1))
    if not kind.reads_all_layers:
        return [layers[-1:]]
    size = kind.layers_per_pass(sequences, len(layers), backbone.hidden_size)
    return [layers[start : start + size] for start in range(0, len(layers), size)]


def _load(paths: EvaluationPaths, settings: ScoringSettings, compute: Compute) -> Predictor:
    card, kind = settings.card, family(settings.card.family)
    reader = Reader(read_special_tokens(paths.tokenizer), settings.model)
    if settings.head is None:
        backbone = load_backbone(paths.checkpoint, compute.dtype).to(compute.device)
        return Predictor(backbone, None, kind, card, reader, compute)
    backbone, state = load_tuned(paths.checkpoint, compute.dtype)
    trained = family(settings.head.family)
    head = trained.build_head(settings.head, trained.pooled_width(backbone.hidden_size, reader.pooling(trained)))
    try:
        head.load_state_dict(state)
    except RuntimeError as error:
        raise SourceError(
            f"{Path(paths.checkpoint)}: its head does not fit card '{settings.head.name}' ({error}); train it again"
        ) from error
    return Predictor(backbone.to(compute.device), head.to(compute.device), kind, card, reader, compute)


def _require_layer(model: Model, predictor: Predictor) -> None:
    """Refuse a retrieval layer that the model lacks; of a hub model the depth is known only once it is loaded."""
    asked, layers = model.retrieval_layer, predictor.backbone.hidden_layers
    if predictor.family.reads_all_layers and asked is not None and asked > layers:
        raise SourceError(f"models.{model.name}.retrieval_layer: expected 0 to {layers}, its layers, found {asked}")


def _require_headline(card: TaskCard, kind: Family, measured: Sequence[Measurement]) -> None:
    found = sorted({item.metric for item in measured})
    if card.metric not in found:
        raise SourceError(f"card '{card.name}': family '{kind.name}' measures {', '.join(found)}, not '{card.metric}'")


def _row_counts(rows: pa.Table) -> dict[str, int]:
    counted = rows.group_by(["language", "split"]).aggregate([([], "count_all")]).to_pylist()
    return {f"{item['language']}/{item['split']}": item["count_all"] for item in counted}


def _summary(card: TaskCard, measured: Sequence[Measurement]) -> str:
    split = headline_split(card, measured)
    values = [item.value for item in measured if item.metric == card.metric and item.split == split]
    return f"{split} {card.metric} {sum(values) / len(values):.2f} over {len(values)} languages"
