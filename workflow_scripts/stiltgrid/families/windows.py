"""Windows over long contexts, and the way between character offsets and tokens (extractive answering)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stiltgrid.tokenization import Pieces


@dataclass(frozen=True)
class Spans:
    """Character spans [start, end) of a context's tokens, (tokens,) each, neither ever decreasing."""

    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, pieces: Pieces) -> "Spans":
        """Spans of tokenised text, made monotone where a normaliser has moved characters."""
        return cls(
            np.maximum.accumulate(np.asarray(pieces.starts, dtype=np.int64)),
            np.maximum.accumulate(np.asarray(pieces.ends, dtype=np.int64)),
        )

    def tokens_of(self, start: int, end: int) -> tuple[int, int]:
        """(first, last) token of the characters [start, end).

        Sub-tokens may share a span (a blank's mark and its word, the bytes of one character): the first of
        these opens an answer, the last closes it.
        """
        first = max(0, int(np.searchsorted(self.starts, start, side="right")) - 1)
        while first and self.starts[first - 1] == self.starts[first] and self.ends[first - 1] == self.ends[first]:
            first -= 1
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return first, max(first, last)


@dataclass(frozen=True)
class Window:
    """Context tokens [start, stop) seen together."""

    start: int
    stop: int


def windows(length: int, room: int, stride: int, overlap: int) -> list[Window]:
    """Windows of at most `room` tokens over `length`, each `stride` tokens after the one before.

    Neighbours share at least `overlap` tokens (or half a window, where that is less), so that every answer
    of up to `overlap` tokens lies whole in one of them; a longer stride than that leaves is shortened.
    """
    step = min(stride, max(room - overlap, room // 2, 1))
    found = [Window(0, min(room, length))]
    while found[-1].stop < length:
        start = found[-1].start + step
        found.append(Window(start, min(start + room, length)))
    return found


def most_context(cut: Sequence[Window], length: int) -> Iterator[np.ndarray]:
    """For each window, (its tokens,) of bool: whether no other window shows that token in more context.

    A token's context in a window is the smaller of the numbers of tokens left and right of it, plus a
    hundredth of the window's length (BERT's SQuAD script); ties go to the earlier window.
    """
    best = np.full(length, -1.0)
    owner = np.zeros(length, dtype=np.int64)
    for number, window in enumerate(cut):
        size = window.stop - window.start
        left = np.arange(size)
        score = np.minimum(left, left[::-1]) + 0.01 * size
        here = slice(window.start, window.stop)
        better = score > best[here]
        owner[here][better] = number
        best[here][better] = score[better]
    for number, window in enumerate(cut):
        yield owner[window.start : window.stop] == number
