"""Answer scores of the SQuAD v1.1 and v2.0 evaluation scripts, per question from 0 to 1.

XTREME applies the v1.1 script to every language, including its English articles and ASCII punctuation.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Normalise = Callable[[str], str]

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(answer: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(gold: str, prediction: str, normalised: Normalise = normalise) -> float:
    """1 if both are equal after normalisation, else 0."""
    return float(normalised(gold) == normalised(prediction))


def f1(gold: str, prediction: str, normalised: Normalise = normalise) -> float:
    """F1 of the bags of words; 0 without a common word (even if both are empty, as in v1.1)."""
    gold_words, predicted_words = normalised(gold).split(), normalised(prediction).split()
    common = sum((Counter(gold_words) & Counter(predicted_words)).values())
    return 2 * common / (len(gold_words) + len(predicted_words)) if common else 0.0


def score_answer(golds: Sequence[str], prediction: str, normalised: Normalise = normalise) -> tuple[float, float]:
    """(F1, exact match) of a prediction, each the maximum over the reference answers (v1.1)."""
    if not golds:
        raise ValueError("a question without reference answers has no v1.1 score")
    return (
        max(f1(gold, prediction, normalised) for gold in golds),
        max(exact_match(gold, prediction, normalised) for gold in golds),
    )


def score_answer_or_none(golds: Sequence[str], prediction: str) -> tuple[float, float]:
    """(F1, exact match) as in v2.0, where "" means 'no answer' on either side and both scores are 0 or 1.

    References that normalise to nothing are left out, as in the script.
    """
    answers = [gold for gold in golds if normalise(gold)]
    if not answers:
        right = float(not normalise(prediction))
        return right, right
    return score_answer(answers, prediction)


@dataclass(frozen=True)
class BestThreshold:
    """The best mean score (0 to 1) over all thresholds on the null margin, and that threshold."""

    score: float
    threshold: float


def best_threshold(
    scores: Sequence[float], answered: Sequence[bool], answerable: Sequence[bool], null_margins: Sequence[float]
) -> BestThreshold:
    """`find_best_thresh` of the SQuAD v2.0 script: answer a question when its null margin is at most the threshold.

    `scores` are those of each question's best non-null prediction, `answered` says whether that prediction is not
    empty, and `null_margins` are null score minus best score: the higher, the more likely "no answer".
    """
    has_answer = np.asarray(answerable, dtype=bool)
    order = np.argsort(np.asarray(null_margins, dtype=np.float64), kind="stable")
    gains = np.where(has_answer, np.asarray(scores, dtype=np.float64), -np.asarray(answered, dtype=np.float64))[order]
    totals = np.concatenate([[0.0], np.cumsum(gains)]) + float((~has_answer).sum())
    best = int(np.argmax(totals))
    threshold = float(np.asarray(null_margins, dtype=np.float64)[order[best - 1]]) if best else 0.0
    return BestThreshold(float(totals[best]) / len(has_answer), threshold)
