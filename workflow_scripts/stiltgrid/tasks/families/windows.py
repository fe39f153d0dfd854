"""Windows over long contexts, and conversion between character offsets and tokens (extractive answering)."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.modeling.tokenization import Pieces


@dataclass(frozen=True)
class Spans:
    """Character spans [start, end) of a context's tokens, (tokens,) each, neither ever decreasing."""

    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, pieces: Pieces, text: str) -> "Spans":
        """Spans of a tokenised text, made monotone where a normaliser has reordered characters.

        A normaliser that composes "e" and a combining accent to one character reports the span of the "e" alone, so a
        span is extended by the characters after it that belong to its last one and that no token covers.
        """
        starts = np.maximum.accumulate(np.asarray(pieces.starts, dtype=np.int64))
        ends = np.maximum.accumulate(np.asarray(pieces.ends, dtype=np.int64))
        following = np.append(starts[1:], len(text))[: len(ends)]
        for place in np.flatnonzero(ends < following).tolist():
            end = stop = int(ends[place])
            while stop < following[place] and continues_character(text[stop]):
                stop += 1
            if stop > end:
                ends[ends == end] = stop
        return cls(starts, ends)

    def tokens_of(self, start: int, end: int) -> tuple[int, int]:
        """(first, last) token of the characters [start, end).

        Tokens may share a span (a blank's mark and its word, the bytes of one character): an answer starts at the
        first of these and ends at the last.
        """
        first = max(0, int(np.searchsorted(self.starts, start, side="right")) - 1)
        if first + 1 < len(self.starts) and self.ends[first] <= start and self.starts[first + 1] < end:
            first += 1  # the answer begins with characters that the tokenizer drops
        while first and self.starts[first - 1] == self.starts[first] and self.ends[first - 1] == self.ends[first]:
            first -= 1
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return first, max(first, last)


def continues_character(code_point: str) -> bool:
    """Whether a code point belongs to the one before: a mark, a Korean vowel or final, a voicing mark of kana."""
    return (
        unicodedata.category(code_point)[0] == "M"
        or "\u1160" <= code_point <= "\u11ff"
        or "\ud7b0" <= code_point <= "\ud7fb"
        or code_point in "\uff9e\uff9f"
    )


@dataclass(frozen=True)
class Window:
    """Context tokens [start, stop) of one sequence."""

    start: int
    stop: int


def windows(length: int, room: int, stride: int, longest_answer: int) -> list[Window]:
    """Windows of at most `room` tokens over `length`, each `stride` tokens after the one before.

    The stride is shortened, to half a window at least, so that neighbours share 2 * `longest_answer` tokens. Every
    answer up to that length is then whole in the window that has the most context for its first token, which is the
    only window where it may start.
    """
    step = min(stride, max(room - 2 * longest_answer, room // 2, 1))
    found = [Window(0, min(room, length))]
    while found[-1].stop < length:
        start = found[-1].start + step
        found.append(Window(start, min(start + room, length)))
    return found


def most_context(cut: Sequence[Window], length: int) -> Iterator[np.ndarray]:
    """For each window, (its tokens,) of bool: whether no other window has more context for that token.

    A token's context in a window is the smaller of the numbers of tokens left and right of it; ties go to the earlier
    window. (BERT's SQuAD script adds a hundredth of the window's length, which in a short last window may outweigh the
    context and cut an answer off.)
    """
    best = np.full(length, -1)
    owner = np.zeros(length, dtype=np.int64)
    for number, window in enumerate(cut):
        left = np.arange(window.stop - window.start)
        score = np.minimum(left, left[::-1])
        here = slice(window.start, window.stop)
        better = score > best[here]
        owner[here][better] = number
        best[here][better] = score[better]
    for number, window in enumerate(cut):
        yield owner[window.start : window.stop] == number
