"""Dual encoders (LAReQA, Mewsli-X): queries and candidates in one space, ranked by dot product.

Training rows have the role "pair" (a query and its candidate), evaluation rows "query" or "candidate". A
development set of pairs is scored too: each query among all the set's candidates.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks import fields
from stiltgrid.tasks.families import retrieval
from stiltgrid.tasks.families.base import Family, Measurement, predictions_schema
from stiltgrid.tasks.families.common import distinct, in_chunks
from stiltgrid.tasks.families.pools import KEPT_RANKS, Pool, pair_pools, row_pools
from stiltgrid.tasks.families.retrieval import CANDIDATE, PAIR, QUERY, RETRIEVAL, by_language_and_split, draw
from stiltgrid.tasks.metrics.retrieval import average_precision, recall, reciprocal_rank
from stiltgrid.tasks.nearest_neighbours import nearest, unit_length

if TYPE_CHECKING:
    import torch

    from stiltgrid.modeling.batching import Batch

log = logging.getLogger(__name__)

PUBLISHED_RANKS = 20
RECALLS = (1, 5, 10, 20)
QUERY_SIDE, CANDIDATE_SIDE = 0, 1
DUAL_PREDICTIONS = pa.schema(
    [
        *predictions_schema(pa.list_(pa.string())),
        ("group", pa.string()),
        ("ranks", pa.list_(pa.int32())),
        ("relevant", pa.int32()),
    ]
)


@dataclass(frozen=True)
class _Sequence:
    """A sequence to be encoded, of one or two texts; `group` is -1 for rows of a pool."""

    example: int
    side: int
    texts: tuple[str, ...]
    group: int


class DualFamily(Family):
    """Queries and candidates in one space. Predictions have one row per query.

    `prediction` lists the ids of the 20 best candidates, best first, and `gold` those of the relevant ones; `score` is
    the best cosine, `ranks` the relevant candidates' ranks within the first 100, `relevant` their number in all, and
    `group` what parallel queries share (their id at the source).
    """

    name = "dual"
    schema = pa.schema(
        [
            *RETRIEVAL,
            ("group", pa.string()),
            ("candidate", pa.string()),
            ("candidate_pair", pa.string()),
        ]
    )
    splits_batches = False

    def iterate(self, card: TaskCard, rows: Iterable[RawRow], language: str, split: str) -> list[dict[str, Any]]:
        """Rows of a pool where the source has the roles query and candidate, otherwise training pairs.

        A query's id gets the suffix "_{language}", as in LAReQA. Queries of one `group` are parallel: those of one id
        at the source, unless the option `parallel` is false or every language has a pool of its own.
        """
        found = []
        for number, row in enumerate(rows):
            pooled = row.values.get("role", PAIR) != PAIR
            made = _pooled(card, row, language, split) if pooled else _pair(card, row, language, split, number)
            found.append((made, row.place))
        retrieval.refuse_repeats(found)
        return [row for row, _ in found]

    def subsample(self, table: pa.Table, examples: int, seed: int = 0) -> pa.Table:
        """At most `examples` queries per language and split, their relevant candidates, and the same share of others.

        Queries are drawn by their id at the source, so parallel questions stay together. The gold of a kept query is
        extended by that of its parallel queries. Pairs are drawn by their id too.
        """
        columns = {name: table.column(name).to_pylist() for name in ("id", "split", "role", "gold", "group")}
        union = _union_by_group(columns)
        keep: list[int] = []
        gold: dict[str, set[str]] = {}
        asked: dict[str, list[int]] = {}
        for (_, split), members in by_language_and_split(table).items():
            queries = [row for row in members.tolist() if columns["role"][row] != CANDIDATE]
            drawn = draw([columns["group"][row] for row in queries], examples, seed)
            kept = [row for row in queries if columns["group"][row] in drawn]
            keep += kept
            asked.setdefault(split, [0, 0])
            asked[split] = [asked[split][0] + len(kept), asked[split][1] + len(queries)]
            gold.setdefault(split, set()).update(*(union[split, columns["group"][row]] for row in kept))
        for (_, split), members in by_language_and_split(table).items():
            candidates = [row for row in members.tolist() if columns["role"][row] == CANDIDATE]
            others = [columns["id"][row] for row in candidates if columns["id"][row] not in gold[split]]
            drawn = draw(others, round(len(others) * asked[split][0] / max(1, asked[split][1])), seed)
            keep += [row for row in candidates if columns["id"][row] in gold[split] or columns["id"][row] in drawn]
        return _with_gold(table, columns, union).take(sorted(keep))

    def encode(
        self, card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool
    ) -> dict[str, list]:
        """Two sequences per pair (query, then candidate), one per row of a pool.

        Columns: `side`, 0 for queries and 1 for candidates, and `group`, one number per text of candidates. Queries
        have at most `query_length` tokens, candidates `candidate_length` (options of the card); of two segments
        (sentence and context) the longer is truncated first.
        """
        limits = [
            min(max_length, int(card.options.get(name) or max_length)) for name in ("query_length", "candidate_length")
        ]
        sequences = list(_sequences(rows))
        texts, numbers = distinct([text for item in sequences for text in item.texts])
        ids = list(in_chunks(tokenizer.ids, texts))
        known = iter([ids[number] for number in numbers])
        pieces = [[next(known) for _ in item.texts] for item in sequences]
        return {
            "input_ids": [
                tokenizer.join_truncated(segments[0], segments[1] if len(segments) == 2 else None, limits[item.side])
                for item, segments in zip(sequences, pieces, strict=True)
            ],
            "example": [item.example for item in sequences],
            "side": [item.side for item in sequences],
            "group": [item.group for item in sequences],
        }

    def build_head(self, card: TaskCard, hidden_size: int) -> torch.nn.Module:
        """A scale on cosines, which draws no random numbers."""
        from stiltgrid.modeling.heads import DualHead

        return DualHead()

    def loss(self, card: TaskCard, head: torch.nn.Module, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """In-batch softmax of each query over the batch's candidates, summed over pairs."""
        from stiltgrid.modeling.heads import in_batch_loss, unit

        vectors = unit(batch.pool(hidden))
        order = np.argsort(batch.numbers["example"], kind="stable")
        side = batch.numbers["side"][order]
        queries, candidates = (batch.places_on_device(order[side == one]) for one in (QUERY_SIDE, CANDIDATE_SIDE))
        return in_batch_loss(head(vectors[queries], vectors[candidates]), batch.scalars["group"][candidates])

    def loss_weight(self, scalars: Mapping[str, Any], tokens: Mapping[str, Any], sequences: int) -> float:
        """Number of pairs."""
        return float((np.asarray(scalars["side"]) == QUERY_SIDE).sum())

    def predict(self, card: TaskCard, head: torch.nn.Module | None, hidden: Any, batch: Batch) -> list[Any]:
        """(hidden,) float32 per sequence: the pooled state, of unit length."""
        from stiltgrid.modeling.heads import unit

        return list(unit(batch.pool(hidden)).cpu().numpy())

    def decode(
        self,
        card: TaskCard,
        outputs: Sequence[Any],
        columns: Mapping[str, Any],
        rows: pa.Table,
        options: Mapping[str, Any],
    ) -> pa.Table:
        """The 100 best candidates of every query; see the class for the columns.

        Option `pool`: "multilingual" (one pool; the candidates of all parallel questions are relevant) or
        "per_language" (only the query's language). Gold ids that no pool holds count as relevant and never found.
        """
        vectors = unit_length(np.stack([np.asarray(output) for output in outputs]))
        make_pools = pair_pools if PAIR in rows.column("role").to_pylist() else row_pools
        tables = [_ranked(pool, vectors) for pool in make_pools(card, columns, rows)]
        return pa.concat_tables(tables) if tables else DUAL_PREDICTIONS.empty_table()

    def measure(self, card: TaskCard, predictions: pa.Table, rows: pa.Table) -> list[Measurement]:
        """`map@20`, `recall@1` to `recall@20` and `mrr` (0 beyond rank 100), by language of the query.

        LAReQA's official number is over the questions of all languages. The mean over languages equals it if every
        language has the same number of questions, as LAReQA's parallel questions do.
        """
        measurements = []
        for (language, split), members in by_language_and_split(predictions).items():
            some = predictions.select(["ranks", "relevant"]).take(pa.array(members))
            queries = list(zip(some.column("ranks").to_pylist(), some.column("relevant").to_pylist(), strict=True))
            values = {"map@20": [average_precision(ranks, relevant) for ranks, relevant in queries]}
            for k in RECALLS:
                values[f"recall@{k}"] = [recall(ranks, relevant, k) for ranks, relevant in queries]
            values["mrr"] = [reciprocal_rank(ranks) for ranks, _ in queries]
            for metric, each in values.items():
                measurements.append(Measurement(language, split, metric, 100 * sum(each) / len(each), len(each)))
        return measurements


def _pooled(card: TaskCard, row: RawRow, language: str, split: str) -> dict[str, Any]:
    item = retrieval.pool_row(row, language)
    name = f"{item.id}_{language}" if item.role == QUERY else item.id
    parallel = card.options.get("parallel", True) and card.options.get("pool", "multilingual") == "multilingual"
    return {
        "id": name,
        "language": item.language,
        "split": split,
        "role": item.role,
        "text": item.text,
        "text_pair": item.text_pair,
        "gold": list(item.gold),
        "group": item.id if parallel else name,
        "candidate": None,
        "candidate_pair": None,
    }


def _pair(card: TaskCard, row: RawRow, language: str, split: str, number: int) -> dict[str, Any]:
    """A training pair; a field that the card does not name is read from the column of its name."""
    texts: dict[str, str | None] = {}
    for name in ("text", "candidate"):
        texts[name] = retrieval.filled(row, name, fields.text(row, card.fields.get(name, name), name))
    for name in ("text_pair", "candidate_pair"):
        spec = card.fields.get(name, name)
        value = fields.optional_text(row, spec, name) if name in card.fields or name in row.values else None
        texts[name] = None if value is None else retrieval.filled(row, name, value)
    name = row.identifier("id") if "id" in row.values else fields.identifier(card, row, language, split, number)
    return {"id": name, "language": language, "split": split, "role": PAIR, "gold": [], "group": name, **texts}


def _union_by_group(columns: Mapping[str, list]) -> dict[tuple[str, str], set[str]]:
    union: dict[tuple[str, str], set[str]] = {}
    for split, role, gold, group in zip(*(columns[name] for name in ("split", "role", "gold", "group")), strict=True):
        if role != CANDIDATE:
            union.setdefault((split, group), set()).update(gold)
    return union


def _with_gold(table: pa.Table, columns: Mapping[str, list], union: Mapping[tuple[str, str], set[str]]) -> pa.Table:
    """The table with every query's gold replaced by its group's."""
    keys = zip(columns["split"], columns["group"], columns["role"], strict=True)
    gold = [sorted(union[split, group]) if role == QUERY else [] for split, group, role in keys]
    place = table.column_names.index("gold")
    return table.set_column(place, table.schema.field(place), pa.array(gold, pa.list_(pa.string())))


def _sequences(rows: pa.Table) -> Iterator[_Sequence]:
    groups: dict[tuple[str, str | None], int] = {}
    names = ("role", "text", "text_pair", "candidate", "candidate_pair")
    lists = [rows.column(name).to_pylist() for name in names]
    for example, (role, text, pair, candidate, context) in enumerate(zip(*lists, strict=True)):
        if role != PAIR:
            yield _Sequence(example, QUERY_SIDE if role == QUERY else CANDIDATE_SIDE, _segments(text, pair), -1)
            continue
        group = groups.setdefault((candidate, context), len(groups))
        yield _Sequence(example, QUERY_SIDE, _segments(text, pair), group)
        yield _Sequence(example, CANDIDATE_SIDE, _segments(candidate, context), group)


def _segments(text: str, pair: str | None) -> tuple[str, ...]:
    return (text,) if pair is None else (text, pair)


def _ranked(pool: Pool, vectors: np.ndarray) -> pa.Table:
    found = nearest(vectors[pool.query_vectors], vectors[pool.candidate_vectors], KEPT_RANKS)
    known = set(pool.candidates)
    lost = sum(not gold <= known for gold in pool.gold)
    if lost:
        log.warning("%d of %d queries have gold that is in no pool; it counts as not found", lost, len(pool.gold))
    ranked = [[pool.candidates[position] for position in line] for line in found.indices.tolist()]
    ranks = [
        [rank for rank, name in enumerate(line, start=1) if name in gold]
        for line, gold in zip(ranked, pool.gold, strict=True)
    ]
    return pa.table(
        {
            **{name: getattr(pool, name) for name in ("id", "language", "split", "group")},
            "prediction": [line[:PUBLISHED_RANKS] for line in ranked],
            "gold": [sorted(gold) for gold in pool.gold],
            "score": found.scores[:, 0].astype(np.float64) if found.scores.shape[1] else [None] * len(ranked),
            "ranks": ranks,
            "relevant": [len(gold) for gold in pool.gold],
        },
        schema=DUAL_PREDICTIONS,
    )


FAMILY = DualFamily()
