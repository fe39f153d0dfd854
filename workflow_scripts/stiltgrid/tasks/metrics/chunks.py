"""Chunk F1 of tagged sentences as seqeval 0.0.12 has it, the version behind XTREME's published numbers.

A tag's first letter is its prefix and what follows the last hyphen its type; for a tag without hyphen
(`NOUN`) the type is the whole tag. Later seqeval versions cut the first letter off unprefixed tags, so that
CCONJ and SCONJ become one type; here they stay two. Neighbouring words with the same unprefixed tag form
one chunk, unless the tag begins with S or E, which seqeval reads as a chunk of one word (SCONJ, SYM).
"""

from collections.abc import Sequence

Chunk = tuple[str, int, int]


def chunks(tags: Sequence[str]) -> list[Chunk]:
    """(type, first, last) of every chunk of one sentence; positions count words from 0."""
    found: list[Chunk] = []
    begin, before, before_type = 0, "O", ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, type_ = tag[0], tag.rsplit("-", 1)[-1]
        changed = type_ != before_type
        if before in "ES" or (before in "BI" and prefix in "BSO") or (changed and before not in "O."):
            found.append((before_type, begin, position - 1))
        if prefix in "BS" or (before in "ESO" and prefix in "EI") or (changed and prefix not in "O."):
            begin = position
        before, before_type = prefix, type_
    return found


def chunk_scores(golds: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]) -> dict[str, float]:
    """Micro-averaged `precision`, `recall` and `f1` (0 to 100) over the chunks of all sentences.

    A predicted chunk counts when type, first and last word are right. Raises ValueError for unequal lengths.
    """
    correct = wanted = given = 0
    for gold, prediction in zip(golds, predictions, strict=True):
        if len(gold) != len(prediction):
            raise ValueError(f"a sentence of {len(gold)} tags was given {len(prediction)} predictions")
        gold_chunks, predicted_chunks = set(chunks(gold)), set(chunks(prediction))
        correct += len(gold_chunks & predicted_chunks)
        wanted += len(gold_chunks)
        given += len(predicted_chunks)
    return precision_recall_f1(correct, given, wanted)


def precision_recall_f1(correct: int, given: int, wanted: int) -> dict[str, float]:
    """The three scores from counts of right, predicted and gold items; 0 where a count is 0."""
    precision = correct / given if given else 0.0
    recall = correct / wanted if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"f1": 100 * f1, "precision": 100 * precision, "recall": 100 * recall}
