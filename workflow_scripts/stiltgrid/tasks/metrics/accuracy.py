"""Accuracy and F1 over single labels. All values run from 0 to 100."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence


def accuracy(golds: Sequence[Hashable], predictions: Sequence[Hashable]) -> float:
    """Share of equal pairs (XTREME's `accuracy`); 0 for no pairs, ValueError for unequal lengths."""
    correct = sum(gold == prediction for gold, prediction in zip(golds, predictions, strict=True))
    return 100 * correct / len(golds) if golds else 0.0


def label_f1(golds: Sequence[Hashable], predictions: Sequence[Hashable], label: Hashable) -> float:
    """F1 of one label against all others (GLUE's F1 for QQP, with the label 'duplicate')."""
    both = sum(gold == prediction == label for gold, prediction in zip(golds, predictions, strict=True))
    total = sum(gold == label for gold in golds) + sum(prediction == label for prediction in predictions)
    return 200 * both / total if total else 0.0


def macro_f1(golds: Sequence[Hashable], predictions: Sequence[Hashable]) -> float:
    """Mean F1 over the labels that occur among golds or predictions (scikit-learn's default `macro`)."""
    gold_counts, predicted_counts = Counter(golds), Counter(predictions)
    both = Counter(gold for gold, prediction in zip(golds, predictions, strict=True) if gold == prediction)
    labels = gold_counts.keys() | predicted_counts.keys()
    if not labels:
        return 0.0
    scores = (2 * both[label] / (gold_counts[label] + predicted_counts[label]) for label in labels)
    # An exact sum: the order of a set differs between processes.
    return 100 * math.fsum(scores) / len(labels)
