"""Retrieval metrics from 0 to 1; ranks count from 1."""

from collections.abc import Sequence


def average_precision(ranks: Sequence[int], relevant: int, k: int = 20) -> float:
    """AP@k of one query: the sum of the precisions at the relevant ranks up to k, over min(relevant, k).

    `ranks` are the ascending ranks of relevant candidates. This is the definition of LAReQA and Mewsli-X in XTREME-R;
    with one relevant candidate it is the reciprocal rank, or 0 beyond k.
    """
    if not relevant:
        return 0.0
    total = sum(found / rank for found, rank in enumerate(ranks, start=1) if rank <= k)
    return total / min(relevant, k)


def recall(ranks: Sequence[int], relevant: int, k: int) -> float:
    """Share of a query's relevant candidates that are among its first k; at most k / relevant."""
    return sum(rank <= k for rank in ranks) / relevant if relevant else 0.0


def reciprocal_rank(ranks: Sequence[int]) -> float:
    """1 / rank of the first relevant candidate; 0 if none was retrieved."""
    return 1.0 / min(ranks) if len(ranks) else 0.0


def precision_recall_f1(correct: int, predicted: int, gold: int) -> tuple[float, float, float]:
    """Precision, recall and F1 of a set of predicted pairs; all 0 if none is correct (XTREME's BUCC)."""
    if not correct:
        return 0.0, 0.0, 0.0
    precision, share = correct / predicted, correct / gold
    return precision, share, 2 * precision * share / (precision + share)
