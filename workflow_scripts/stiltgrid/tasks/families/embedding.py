"""Sentence retrieval from a backbone without a head: a text's vector is the mean of a hidden layer's token states.

Nearest neighbours by cosine (Tatoeba): queries are English sentences, candidates those of the other language, as in
XTREME. Margin mining (BUCC): queries are in the other language, see `nearest_neighbours`. Every layer is scored; the
headline score is that of the model's `retrieval_layer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields, nearest_neighbours
from stiltgrid.tasks.families import retrieval
from stiltgrid.tasks.families.base import Family, Measurement, predictions_schema
from stiltgrid.tasks.families.common import in_chunks
from stiltgrid.tasks.families.mined import Decoded, Side, centred, mined_rows, nearest_rows
from stiltgrid.tasks.families.retrieval import CANDIDATE, QUERY, RETRIEVAL, by_language_and_split, draw
from stiltgrid.tasks.metrics.retrieval import precision_recall_f1
from stiltgrid.utils.errors import RowError, StiltgridError

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch

PASS_BYTES = 4 * 2**30
GOLD_SHARE = 4  # a subsampled pool holds at most one query with gold in four

EMBEDDING_PREDICTIONS = pa.schema(
    [
        *predictions_schema(pa.string(), pa.list_(pa.string())),
        ("layer", pa.int32()),
        ("headline", pa.bool_()),
        ("threshold", pa.float64()),
    ]
)


def raw_id(name: str, language: str, split: str) -> str:
    """A sentence's id at its source ('zh-000000057'), from its id in canonical rows."""
    return name.removeprefix(f"{language}-{split}-")


def retrieval_layer(options: Mapping[str, Any], hidden_layers: int) -> int:
    """Number of the headline layer, from 0 (the embeddings' output) to `hidden_layers`.

    Without a setting, the layer at the relative depth of XTREME's layer 14 of XLM-R Large's 24.
    """
    asked = options.get("retrieval_layer")
    if asked is None:
        return int(hidden_layers * 14 / 24 + 0.5)
    if not 0 <= asked <= hidden_layers:
        raise StiltgridError(f"retrieval_layer: expected 0 to {hidden_layers}, the layers of this model, found {asked}")
    return int(asked)


class EmbeddingFamily(Family):
    """Tatoeba and BUCC. Predictions have the columns `layer`, `headline` and, with mining, `threshold`.

    `prediction` is a candidate's id, `gold` a list of ids. Nearest: one row per query. Mining: one row per mined pair
    of at least the threshold, and one without a prediction (null) for every other query that has gold. The pairs
    (`id`, `prediction`) are the official output, and F1 is computed from these rows alone.
    """

    name = "embedding"
    schema = pa.schema(RETRIEVAL)
    reads_all_layers = True
    pooling_setting = "retrieval_pooling"

    def iterate(self, card: TaskCard, rows: Iterable[RawRow], language: str, split: str) -> list[dict[str, Any]]:
        """Rows of pools as they are, or a query and a candidate from each pair (fields `source`, `target`)."""
        found: list[tuple[dict[str, Any], str]] = []
        for number, row in enumerate(rows):
            pooled = "role" in row.values
            made = [_pooled(row, language, split)] if pooled else _paired(card, row, language, split, number)
            found.extend((item, row.place) for item in made)
        retrieval.refuse_repeats(found)
        names = {item["id"] for item, _ in found if item["role"] == CANDIDATE}
        for item, place in found:
            lost = [raw_id(gold, language, split) for gold in item["gold"] if gold not in names]
            if lost:
                query = raw_id(item["id"], language, split)
                raise RowError(place, f"gold '{lost[0]}' of '{query}' is no candidate of this split")
        return [item for item, _ in found]

    def subsample(self, table: pa.Table, examples: int, seed: int = 0) -> pa.Table:
        """At most `examples` queries and candidates per language and split, gold candidates first.

        Queries are drawn by position, so Tatoeba keeps the same pairs in every language. In pools (BUCC) at most a
        quarter of the queries have gold, so mining still has to reject most of them.
        """
        keep: list[int] = []
        names, gold = table.column("id").to_pylist(), table.column("gold").to_pylist()
        is_query = np.asarray([role == QUERY for role in table.column("role").to_pylist()], dtype=bool)
        for members in by_language_and_split(table).values():
            queries, candidates = members[is_query[members]].tolist(), members[~is_query[members]].tolist()
            kept = _drawn_queries(queries, names, gold, examples, seed)
            wanted = {name for query in kept for name in gold[query]}
            others = [names[row] for row in candidates if names[row] not in wanted]
            wanted |= draw(others, examples - len(wanted), seed)
            keep += kept + [row for row in candidates if names[row] in wanted]
        return table.take(sorted(keep))

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """One sequence per row: the text, truncated to `max_length` tokens."""
        ids = in_chunks(tokenizer.ids, rows.column("text").to_pylist())
        sequences = [tokenizer.join_truncated(item, None, max_length) for item in ids]
        return {"input_ids": sequences, "example": list(range(len(sequences)))}

    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """Raises StiltgridError: these tasks have no training stage."""
        raise StiltgridError(f"task '{card.name}' is scored without a head; it cannot be trained")

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Raises StiltgridError: these tasks have no training stage."""
        raise StiltgridError(f"task '{card.name}' is scored without a head; it cannot be trained")

    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """One per sequence."""
        return float(sequences)

    def predict(self, card: TaskCard, head: torch.nn.Module | None, hidden: Any, batch: Batch) -> list[Any]:
        """(layers, hidden) float32 per sequence: the pooled states of each layer of this pass."""
        import torch

        pooled = torch.stack([batch.pool(layer.float()) for layer in hidden], dim=1)
        return list(pooled.cpu().numpy())

    def layers_per_pass(self, sequences: int, layers: int, hidden_size: int) -> int:
        """As many as fit into 4 GiB of float32 vectors, at least one."""
        return max(1, min(layers, PASS_BYTES // max(1, sequences * hidden_size * 4)))

    def decode(
        self,
        card: TaskCard,
        outputs: Sequence[Any],
        columns: Mapping[str, Any],
        rows: pa.Table,
        options: Mapping[str, Any],
    ) -> pa.Table:
        """Predictions of every layer in `outputs`, one layer's vectors (rows, hidden) at a time.

        `options`: `layers`, the numbers of the layers in this pass, and `hidden_layers`, their number in the model,
        are needed only if a pass does not hold all layers; `retrieval_layer` as in the function of that name;
        `retrieval_centred` as in `mined.centred`.
        """
        layers = list(options.get("layers") or range(len(outputs[0]))) if len(outputs) else []
        headline = retrieval_layer(options, int(options.get("hidden_layers") or len(layers) - 1)) if layers else 0
        sides = {key: Side.of(rows, members) for key, members in by_language_and_split(rows).items()}
        place = np.empty(rows.num_rows, dtype=np.int64)
        place[np.asarray(columns["example"])] = np.arange(len(outputs))
        tables = []
        for position, layer in enumerate(layers):
            vectors = np.stack([np.asarray(output[position]) for output in outputs])[place]
            if options.get("retrieval_centred"):
                vectors = centred(sides.values(), vectors)
            vectors = nearest_neighbours.unit_length(vectors)
            if card.options.get("mining", "nearest") == "margin":
                decoded = mined_rows(sides, vectors, int(card.options.get("neighbours", 4)))
            else:
                decoded = nearest_rows(sides, vectors)
            tables.append(_table(decoded, layer, layer == headline))
        return pa.concat_tables(tables) if tables else EMBEDDING_PREDICTIONS.empty_table()

    def published(self, predictions: pa.Table) -> pa.Table:
        """The headline layer's rows."""
        return predictions.filter(predictions.column("headline"))

    def measure(self, card: TaskCard, predictions: pa.Table, rows: pa.Table) -> list[Measurement]:
        """`accuracy` (nearest) or `f1`, `precision`, `recall` (mining); per layer `accuracy_layer03`, `f1_layer03`.

        n counts queries (accuracy) or gold pairs (F1).
        """
        measurements: list[Measurement] = []
        for key, counts in _counts(predictions).items():
            language, split, layer, headline = key
            values, n = _values(counts, card.options.get("mining", "nearest") == "margin")
            first = next(iter(values))
            measurements.append(Measurement(language, split, f"{first}_layer{layer:02d}", values[first], n))
            if headline:
                measurements += [Measurement(language, split, name, value, n) for name, value in values.items()]
        return measurements


def _pooled(row: RawRow, language: str, split: str) -> dict[str, Any]:
    item = retrieval.pool_row(row, language)
    prefix = f"{language}-{split}-"
    return {
        "id": prefix + item.id,
        "language": language,
        "split": split,
        "role": item.role,
        "text": item.text,
        "text_pair": item.text_pair,
        "gold": [prefix + gold for gold in item.gold],
    }


def _paired(card: TaskCard, row: RawRow, language: str, split: str, number: int) -> list[dict[str, Any]]:
    """Query and candidate of a translation pair; by default the query is English (`target`)."""
    texts = {}
    for side in ("source", "target"):
        texts[side] = retrieval.filled(row, side, fields.text(row, card.fields[side], side))
    name = fields.identifier(card, row, language, split, number)
    if "id" in card.fields:
        name = f"{language}-{split}-{name}"
    names = {"source": f"{name}-{language}", "target": f"{name}-en"}
    forward = card.options.get("direction") == "source_to_target"
    query, answer = ("source", "target") if forward else ("target", "source")
    common = {"language": language, "split": split, "text_pair": None}
    return [
        {**common, "id": names[query], "role": QUERY, "text": texts[query], "gold": [names[answer]]},
        {**common, "id": names[answer], "role": CANDIDATE, "text": texts[answer], "gold": []},
    ]


def _drawn_queries(queries: list[int], names: list[str], gold: list[list[str]], examples: int, seed: int) -> list[int]:
    """Row numbers of the queries kept, drawn by position in the list, so that languages stay parallel."""
    keys = {str(position): row for position, row in enumerate(queries)}
    with_gold = [key for key, row in keys.items() if gold[row]]
    without = [key for key, row in keys.items() if not gold[row]]
    room = examples
    if without:
        room = max(examples // GOLD_SHARE, examples - len(without))
    kept = draw(with_gold, room, seed)
    kept |= draw(without, examples - len(kept), seed)
    return sorted(keys[key] for key in kept)


def _table(decoded: Decoded, layer: int, headline: bool) -> pa.Table:
    columns = decoded.columns()
    size = len(columns["id"])
    columns |= {"layer": [layer] * size, "headline": [headline] * size}
    return pa.table(columns, schema=EMBEDDING_PREDICTIONS)


def _counts(predictions: pa.Table) -> dict[tuple[str, str, int, bool], list[int]]:
    """Rows, predictions made, gold pairs and correct predictions of each language, split and layer."""
    counts: dict[tuple[str, str, int, bool], list[int]] = {}
    names = ("language", "split", "layer", "headline", "prediction", "gold")
    for language, split, layer, headline, prediction, gold in zip(
        *(predictions.column(name).to_pylist() for name in names), strict=True
    ):
        count = counts.setdefault((language, split, layer, headline), [0, 0, 0, 0])
        count[0] += 1
        count[1] += prediction is not None
        count[2] += len(gold)
        count[3] += prediction in gold
    return counts


def _values(counts: list[int], mined: bool) -> tuple[dict[str, float], int]:
    """Metrics, the layer-wise one first, and n."""
    size, predicted, gold, correct = counts
    if not mined:
        return {"accuracy": 100 * correct / size}, size
    precision, recall, f1 = precision_recall_f1(correct, predicted, gold)
    return {"f1": 100 * f1, "precision": 100 * precision, "recall": 100 * recall}, gold


FAMILY = EmbeddingFamily()
