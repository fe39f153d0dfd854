"""Sentence boundaries for answer retrieval, for data sets that have none.

A few rules: accurate on encyclopedic text in the languages of LAReQA, and the same on every machine.
"""

import re
from collections.abc import Iterator

# Titles, references and units whose full stop does not end a sentence.
ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof rev fr st sr jr gen lt col maj capt sgt gov sen rep hon "
    "vs etc e.g i.e cf ca c approx fig no vol pp p ed eds op art sec ch al "
    "jan feb mar apr jun jul aug sep sept oct nov dec inc ltd co corp bros mt ft u.s u.k u.n d.c "
    "bzw z.b d.h usw nr hl ca. sra sra. ud uds núm pág".split()
)
_END = re.compile(
    r"""[.!?…]+["')\]»”’]*(?:\[[^\]\s]{1,20}\])*(?=\s)   # alphabetic scripts: closed quotes, reference marks
      | [.;؟!؛۔।॥]["')\]»”’]*(?=\s)                      # Arabic, Urdu, Devanagari (and Greek questions)
      | [。！？]["'”’」』）]*                              # Chinese and Japanese need no space
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"(\S+?)\.$")
_OPENING = "\"'([{«“‘„¿¡"


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Character spans [start, end) of the sentences of a text, without surrounding white space."""
    start = 0
    for match in _END.finditer(text):
        if _ends_sentence(text, start, match):
            yield from _stripped(text, start, match.end())
            start = match.end()
    yield from _stripped(text, start, len(text))


def sentence_at(text: str, offset: int) -> str | None:
    """The sentence at a character offset; None where the offset is between sentences."""
    return next((text[start:end] for start, end in sentence_spans(text) if start <= offset < end), None)


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    if piece.strip():
        yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a mark closes a sentence: not after an abbreviation or an initial, not before a small letter."""
    mark = match.group()
    if mark[0] == ";":  # the Greek question mark is written as a semicolon; a Latin one closes nothing
        before = text[start : match.start()].rstrip()
        return bool(before) and "\u0370" <= before[-1] <= "\u1fff"
    following = text[match.end() :].lstrip()[:2].lstrip(_OPENING)[:1]
    if following.islower():
        return False
    if mark != ".":
        return True
    word = _LAST_WORD.search(text[max(start, match.start() - 20) : match.start() + 1].split(" ")[-1])
    if word is None:
        return True
    bare = word.group(1).lstrip(_OPENING)
    is_initial = len(bare) == 1 and bare.isupper()
    return not is_initial and bare.lower() not in ABBREVIATIONS
