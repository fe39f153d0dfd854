"""Trivial baselines on the mini-lab's English data; scores from 0 to 100.

They detect artefacts: a baseline far above chance means that a task can be solved without understanding it.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Baseline:
    """Score of one baseline on one task's evaluation rows, and the score of guessing (`chance`)."""

    task: str
    name: str
    score: float
    chance: float
    n: int


def words(text: str) -> list[str]:
    """Words and marks of a text."""
    return re.findall(r"\w+|[^\w\s]", text)


class NaiveBayes:
    """A bag-of-words classifier with add-one smoothing: sees which words a text has, nothing else."""

    def __init__(self, texts: Sequence[str], labels: Sequence[Any]) -> None:
        self.priors = Counter(labels)
        self.counts: dict[Any, Counter[str]] = defaultdict(Counter)
        for text, label in zip(texts, labels, strict=True):
            self.counts[label].update(words(text))
        self.vocabulary = len({word for counts in self.counts.values() for word in counts})
        self.totals = {label: sum(counts.values()) + self.vocabulary for label, counts in self.counts.items()}

    def score(self, text: str, label: Any) -> float:
        """Log-probability of the label and the text's words together."""
        value = math.log(self.priors[label])
        for word in words(text):
            value += math.log((self.counts[label][word] + 1) / self.totals[label])
        return value

    def predict(self, text: str) -> Any:
        """The most probable label."""
        return max(sorted(self.priors), key=lambda label: self.score(text, label))


def accuracy(predicted: Sequence[Any], gold: Sequence[Any]) -> float:
    """Percentage of equal items."""
    return 100 * sum(one == other for one, other in zip(predicted, gold, strict=True)) / len(gold)


def pair_baselines(task: str, train: Sequence[Row], rows: Sequence[Row], first: str, second: str) -> list[Baseline]:
    """Majority class, each text alone, and the share of common words alone."""
    gold = [row["label"] for row in rows]
    labels = sorted(set(gold))
    chance = 100 / len(labels)
    most = Counter(row["label"] for row in train).most_common(1)[0][0]
    found = [Baseline(task, "majority class", accuracy([most] * len(gold), gold), chance, len(gold))]
    for name, column in (("first text only", first), ("second text only", second)):
        model = NaiveBayes([row[column] for row in train], [row["label"] for row in train])
        predicted = [model.predict(row[column]) for row in rows]
        found.append(Baseline(task, name, accuracy(predicted, gold), chance, len(gold)))
    overlap = {id(row): _common(row[first], row[second]) for row in (*train, *rows)}
    by_share: dict[float, Counter[Any]] = defaultdict(Counter)
    for row in train:
        by_share[round(overlap[id(row)], 1)][row["label"]] += 1
    guesses = [by_share[round(overlap[id(row)], 1)].most_common(1) for row in rows]
    predicted = [guess[0][0] if guess else most for guess in guesses]
    return [*found, Baseline(task, "word overlap only", accuracy(predicted, gold), chance, len(gold))]


def _common(first: str, second: str) -> float:
    one, other = Counter(words(first)), Counter(words(second))
    return 2 * sum((one & other).values()) / (sum(one.values()) + sum(other.values()))


def choice_baselines(
    task: str, learned: Sequence[tuple[str, list[str], int]], read: Sequence[tuple[str, list[str], int]]
) -> list[Baseline]:
    """Longest option, the option most like the context, and the options alone; of (context, options, label)."""
    gold, options = [label for _, _, label in read], len(read[0][1])
    chance = 100 / options
    texts = [choice for _, choices, _ in learned for choice in choices]
    model = NaiveBayes(texts, [index == label for _, choices, label in learned for index in range(len(choices))])

    def best(value: Callable[[str, str], float]) -> float:
        picks = [max(range(options), key=lambda index: value(context, choices[index])) for context, choices, _ in read]
        return accuracy(picks, gold)

    tricks = {
        "longest option": lambda context, choice: float(len(choice)),
        "most like the context": _common,
        "options only": lambda context, choice: model.score(choice, True) - model.score(choice, False),
    }
    return [Baseline(task, name, best(trick), chance, len(gold)) for name, trick in tricks.items()]


def reading_baselines(task: str, rows: Sequence[Row]) -> list[Baseline]:
    """How often the first sentence holds the answer, or the sentence that shares most words with the question."""
    answered = [row for row in rows if row["answers"]["text"]]
    found: dict[str, list[bool]] = {"first sentence": [], "sentence most like the question": []}
    chances = []
    for row in answered:
        sentences = re.split(r"(?<=\.) ", row["context"])
        start, ends = row["answers"]["answer_start"][0], 0
        place = 0
        for index, sentence in enumerate(sentences):
            if start >= ends:
                place = index
            ends += len(sentence) + 1
        like = max(range(len(sentences)), key=lambda index: _common(row["question"], sentences[index]))
        found["first sentence"].append(place == 0)
        found["sentence most like the question"].append(place == like)
        chances.append(1 / len(sentences))
    chance = 100 * sum(chances) / len(chances)
    n = len(answered)
    result = [Baseline(task, name, 100 * sum(hits) / n, chance, n) for name, hits in found.items()]
    if n < len(rows):
        result.append(Baseline(task, "never answers", 100 * (1 - n / len(rows)), 100 / 3, len(rows)))
    return result


def tagging_baselines(task: str, train: Sequence[Row], rows: Sequence[Row], column: str) -> list[Baseline]:
    """The most frequent tag for every word, and each word's own most frequent tag (unknown words: the former)."""
    by_word: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for token, tag in zip(row["tokens"], row[column], strict=True):
            by_word[token][tag] += 1
    most = sum(by_word.values(), Counter()).most_common(1)[0][0]
    tokens = [(token, tag) for row in rows for token, tag in zip(row["tokens"], row[column], strict=True)]
    gold = [tag for _, tag in tokens]
    own = [by_word[token].most_common(1)[0][0] if token in by_word else most for token, _ in tokens]
    chance = 100 / len(set(gold))
    return [
        Baseline(task, "most frequent tag", accuracy([most] * len(gold), gold), chance, len(gold)),
        Baseline(task, "each word's tag", accuracy(own, gold), chance, len(gold)),
    ]


def retrieval_baseline(rows: Sequence[Row]) -> float:
    """Tatoeba by common character trigrams alone, from English: what shared names or spellings would give."""

    def trigrams(text: str) -> set[str]:
        return {text[index : index + 3] for index in range(len(text) - 2)}

    candidates = [trigrams(row["source_sentence"]) for row in rows]
    hits = 0
    for number, row in enumerate(rows):
        query = trigrams(row["target_sentence"])
        shares = [len(query & other) / max(1, len(query | other)) for other in candidates]
        best = max(range(len(shares)), key=lambda index: shares[index])
        hits += best == number and shares[best] > 0
    return 100 * hits / len(rows)


def _numbered(row: Row, column: str) -> list[str]:
    return [row[f"{column}{number}"] for number in range(1, 5)]


_CHOICE: dict[str, Callable[[Row], tuple[str, list[str], int]]] = {
    "hellaswag": lambda row: (row["ctx"], row["endings"], int(row["label"])),
    "cosmos_qa": lambda row: (row["context"], [row[f"answer{index}"] for index in range(4)], row["label"]),
    "social_i_qa": lambda row: (row["context"], [row[f"answer{one}"] for one in "ABC"], int(row["label"]) - 1),
    "copa": lambda row: (row["premise"], [row["choice1"], row["choice2"]], row["label"]),
    "xcopa": lambda row: (row["premise"], [row["choice1"], row["choice2"]], row["label"]),
    "commonsense_qa": lambda row: (row["question"], row["choices"]["text"], "ABCDE".index(row["answerKey"])),
    "belebele_train": lambda row: (row["passage"], _numbered(row, "answer"), row["correct_answer_num"] - 1),
    "belebele": lambda row: (row["flores_passage"], _numbered(row, "mc_answer"), int(row["correct_answer_num"]) - 1),
}
_PAIRS = {
    "mnli": ("mnli", "premise", "hypothesis"),
    "snli": ("snli", "premise", "hypothesis"),
    "anli": ("anli", "premise", "hypothesis"),
    "xnli": ("mnli", "premise", "hypothesis"),
    "qqp": ("qqp", "question1", "question2"),
    "pawsx": ("pawsx", "sentence1", "sentence2"),
}
_TRAINED_ON = {"xcopa": "copa", "belebele": "belebele_train"}
_TAGS = {"ccg": "tags", "udpos": "pos_tags", "panx": "ner_tags"}
_READING = ("squad_v1", "squad_v2", "xquad", "mlqa", "tydiqa")


def all_baselines(source: Source, train_examples: int = 3000) -> list[Baseline]:
    """Every baseline on the English rows of its task: test rows where there are some, else development rows."""

    def read(name: str, split: str) -> list[Row]:
        card = TaskCard(name, "", "", "", (), "", 0)
        return [row.values for row in source.read(card, split, "en")]

    def evaluation(name: str) -> list[Row]:
        card = TaskCard(name, "", "", "", (), "", 0)
        return read(name, "test" if source.has(card, "test", "en") else "dev")

    found: list[Baseline] = []
    for name, (train, first, second) in _PAIRS.items():
        found += pair_baselines(name, read(train, "train")[:train_examples], evaluation(name), first, second)
    for name, parts in _CHOICE.items():
        train, learned = _TRAINED_ON.get(name, name), _CHOICE[_TRAINED_ON.get(name, name)]
        rows = [learned(row) for row in read(train, "train")[:train_examples]]
        found += choice_baselines(name, rows, [parts(row) for row in evaluation(name)])
    for name in _READING:
        found += reading_baselines(name, evaluation(name))
    for name, column in _TAGS.items():
        found += tagging_baselines(name, read(name, "train")[:train_examples], evaluation(name), column)
    return found
