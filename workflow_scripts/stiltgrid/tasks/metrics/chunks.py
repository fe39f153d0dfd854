"""Chunk F1 of tagged sentences: seqeval's default and strict mode, and the rule of seqeval 0.0.12 behind XTREME.

A tag is a prefix (its first letter) and a type. The rules, which a card's option `chunks` chooses from:

- default: seqeval 1.2.2's default mode, the rule of conlleval. An I that continues no chunk of its type begins one.
- strict: seqeval 1.2.2's strict mode: only chunks that are well-formed in the card's scheme count.
- seqeval-0.0.12: the version behind XTREME's published numbers. The type is what follows the last hyphen; a tag without
  a hyphen (NOUN) is its own type. Adjacent words of the same such tag form one chunk, unless the tag begins with S or E
  (SCONJ, SYM), which the rule reads as a chunk of one word. Later versions drop the first letter of such tags, which
  makes CCONJ and SCONJ one type.
"""

from collections.abc import Callable, Iterator, Sequence

from stiltgrid.tasks.tag_schemes import DEFAULT, SCHEMES, STRICT, XTREME

Chunk = tuple[str, int, int]


def chunks(tags: Sequence[str], rule: str = DEFAULT, scheme: str = "bio") -> list[Chunk]:
    """(type, first, last) of every chunk of one sentence; positions count words from 0. `scheme` is for strict mode."""
    if rule == STRICT:
        return list(_strict_chunks(tags, closed="E" in SCHEMES[scheme]))
    return list(_chunks(tags, _type_after_last_hyphen if rule == XTREME else _type_after_prefix))


def _chunks(tags: Sequence[str], type_of: Callable[[str], str]) -> Iterator[Chunk]:
    begin, before, before_type = 0, "O", ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, type_ = tag[0], type_of(tag)
        changed = type_ != before_type
        if before in "ES" or (before in "BI" and prefix in "BSO") or (changed and before not in "O."):
            yield before_type, begin, position - 1
        if prefix in "BS" or (before in "ESO" and prefix in "EI") or (changed and prefix not in "O."):
            begin = position
        before, before_type = prefix, type_


def _type_after_last_hyphen(tag: str) -> str:
    return tag.rsplit("-", 1)[-1]


def _type_after_prefix(tag: str) -> str:
    return tag[1:].split("-", 1)[-1] or "_"


def _strict_chunks(tags: Sequence[str], closed: bool) -> Iterator[Chunk]:
    """Chunks of the form B I*, or where they must be `closed`, S or B I* E; all of one type."""
    position = 0
    while position < len(tags):
        begin, last, type_ = position, tags[position][0], _type_after_prefix(tags[position])
        position += 1
        if last == "B":
            while position < len(tags) and last in "BI" and tags[position][0] in "IE":
                if _type_after_prefix(tags[position]) != type_:
                    break
                last = tags[position][0]
                position += 1
        elif last != "S":
            continue
        if last in "ES" or not closed:
            yield type_, begin, position - 1


def chunk_scores(
    golds: Sequence[Sequence[str]],
    predictions: Sequence[Sequence[str]],
    rule: str = DEFAULT,
    scheme: str = "bio",
) -> dict[str, float]:
    """Micro-averaged `precision`, `recall` and `f1` (0 to 100) over the chunks of all sentences; see `chunks`.

    A predicted chunk is correct if its type, first and last word are. Raises ValueError for unequal lengths.
    """
    correct = wanted = given = 0
    for gold, prediction in zip(golds, predictions, strict=True):
        if len(gold) != len(prediction):
            raise ValueError(f"a sentence of {len(gold)} tags was given {len(prediction)} predictions")
        gold_chunks, predicted_chunks = (set(chunks(tags, rule, scheme)) for tags in (gold, prediction))
        correct += len(gold_chunks & predicted_chunks)
        wanted += len(gold_chunks)
        given += len(predicted_chunks)
    return precision_recall_f1(correct, given, wanted)


def precision_recall_f1(correct: int, given: int, wanted: int) -> dict[str, float]:
    """The three scores from counts of correct, predicted and gold items; 0 where a count is 0."""
    precision = correct / given if given else 0.0
    recall = correct / wanted if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"f1": 100 * f1, "precision": 100 * precision, "recall": 100 * recall}
