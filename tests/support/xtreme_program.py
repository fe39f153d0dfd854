"""XTREME's and XTREME-R's `evaluate.py`, written anew from its definition: a folder of predictions, one of labels.

Shares nothing with the code under test. Labels have the official files' shapes: for questions SQuAD's JSON, for BUCC
pairs of ids, for Tatoeba line numbers behind sorted English sentences.
"""

import json
import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

SUFFIX = {"xquad": "json", "mlqa": "json", "tydiqa": "json", "mewslix": "json", "xcopa": "jsonl"}
ARTICLES = {
    "en": "a an the", "es": "un una unos unas el la los las", "vi": "của là cái chiếc những",
    "de": "ein eine einen einem eines einer der die das den dem des", "hi": "", "zh": "",
}  # fmt: skip
PUNCTUATION = {chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P")}


def file_of(folder: Path, task: str, language: str) -> Path:
    """Where the program looks for a language's predictions or labels."""
    return folder / task / f"test-{language}.{SUFFIX.get(task, 'tsv')}"


def evaluate(predictions: Path, labels: Path, task: str, language: str) -> dict[str, float]:
    """The program's scores of one task and language, from 0 to 100."""
    given, wanted = file_of(predictions, task, language), file_of(labels, task, language)
    if task in ("xnli", "pawsx", "tatoeba"):
        return _accuracy(_lines(given), _lines(wanted))
    if task == "xcopa":
        return _accuracy(*([json.loads(line)["label"] for line in _lines(path)] for path in (given, wanted)))
    if task in ("udpos", "panx"):
        return _tag_f1(_sentences(given), _sentences(wanted))
    if task == "bucc2018":
        return _pair_f1(set(_lines(given)), set(_lines(wanted)))
    if task == "mewslix":
        return _reciprocal_ranks(_read(given), _read(wanted))
    return _answers(_read(given), _read(wanted), _normaliser(task, language))


def tatoeba_labels(english: Sequence[str]) -> list[str]:
    """As XTREME makes them: each sorted English line's place in the original file."""
    return [str(number) for _, number in sorted(zip(english, range(len(english)), strict=True), key=lambda x: x[0])]


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


def _read(path: Path) -> dict:
    found: dict = json.loads(path.read_text(encoding="utf-8"))
    return found


def _accuracy(given: list, wanted: list) -> dict[str, float]:
    assert len(given) == len(wanted), "the program asserts equal lengths"
    return {"accuracy": 100 * sum(a == b for a, b in zip(given, wanted, strict=True)) / len(given)}


def _sentences(path: Path) -> list[list[str]]:
    sentences, sentence = [], []
    for line in _lines(path):
        if line:
            sentence.append(line)
        else:
            sentences.append(sentence)
            sentence = []
    return [*sentences, sentence] if sentence else sentences


def _entities(tags: list[list[str]]) -> set[tuple[str, int, int]]:
    """Seqeval 0.0.12 on the sentences laid end to end with "O" between."""
    flat = [tag for sentence in tags for tag in [*sentence, "O"]]
    found, begin, before, before_type = set(), 0, "O", ""
    for place, tag in enumerate([*flat, "O"]):
        letter, type_ = tag[0], tag.split("-")[-1]
        changed = type_ != before_type
        ends = before in "ES" or (before == "B" and letter in "BSO") or (before == "I" and letter in "BSO")
        if ends or (before not in "O." and changed):
            found.add((before_type, begin, place - 1))
        starts = letter in "BS" or (before in "ESO" and letter in "EI")
        if starts or (letter not in "O." and changed):
            begin = place
        before, before_type = letter, type_
    return found


def _tag_f1(given: list[list[str]], wanted: list[list[str]]) -> dict[str, float]:
    assert [len(sentence) for sentence in given] == [len(sentence) for sentence in wanted]
    gold, found = _entities(wanted), _entities(given)
    return {"f1": _f1(len(gold & found), len(found), len(gold))}


def _f1(right: int, given: int, wanted: int) -> float:
    if not right:
        return 0.0
    precision, recall = right / given, right / wanted
    return 100 * 2 * precision * recall / (precision + recall)


def _pair_f1(given: set[str], wanted: set[str]) -> dict[str, float]:
    return {"f1": _f1(len(given & wanted), len(given), len(wanted))}


def _reciprocal_ranks(given: dict[str, list[str]], wanted: dict[str, list[str]]) -> dict[str, float]:
    values = []
    for name, (gold,) in wanted.items():
        ranked = given.get(name, [])
        assert len(ranked) <= 20
        values.append(1 / (1 + ranked.index(gold)) if gold in ranked else 0.0)
    return {"map@20": 100 * sum(values) / len(values)}


def _normaliser(task: str, language: str) -> Callable[[str], list[str]]:
    """Words of an answer: SQuAD's English ones for XQuAD and TyDiQA in any language, MLQA's by language."""

    def squad(text: str) -> list[str]:
        kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
        return _without(kept, "a an the").split()

    def mlqa(text: str) -> list[str]:
        kept = "".join(letter for letter in text.lower() if letter not in PUNCTUATION | set(string.punctuation))
        kept = re.sub(r"\sال^|ال", " ", kept) if language == "ar" else _without(kept, ARTICLES[language])
        if language == "zh":
            kept = "".join(f" {letter} " if "一" <= letter <= "龥" else letter for letter in kept)
        return kept.split()

    return mlqa if task == "mlqa" else squad


def _without(text: str, articles: str) -> str:
    return re.sub(rf"\b({'|'.join(articles.split())})\b", " ", text) if articles else text


def _answers(given: dict[str, str], labels: dict, words: Callable[[str], list[str]]) -> dict[str, float]:
    questions = [question for article in labels["data"] for part in article["paragraphs"] for question in part["qas"]]
    f1, exact = [], []
    for question in questions:
        guess, best_f1, best_exact = words(given[question["id"]]), 0.0, 0.0
        for answer in question["answers"]:
            gold = words(answer["text"])
            common = sum((Counter(gold) & Counter(guess)).values())
            best_f1 = max(best_f1, _f1(common, len(guess), len(gold)))
            best_exact = max(best_exact, 100.0 * (gold == guess))
        f1.append(best_f1)
        exact.append(best_exact)
    return {"f1": sum(f1) / len(f1), "exact_match": sum(exact) / len(exact)}
