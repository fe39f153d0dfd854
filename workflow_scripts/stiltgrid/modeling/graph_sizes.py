"""Fixed sizes of packed micro-batches, for CUDA graphs: each batch is filled up to the next size. Numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST = 10  # sizes; with ten, at even shares of the batches, filling adds a few per cent to most of them
TOKENS_TO, SEQUENCES_TO = 16, 8  # sizes are rounded up to multiples of these


@dataclass(frozen=True)
class GraphSizes:
    """The sizes of a stage's graphs.

    Attributes:
        tokens: tokens of each size, ascending.
        sequences: sequences of every size, those that fill it up and empty ones among them.
        longest: tokens of the longest sequence that fits into any of them.
    """

    tokens: tuple[int, ...]
    sequences: int
    longest: int

    def fitting(self, lengths: np.ndarray) -> int | None:
        """The number of tokens of the smallest size for sequences of these lengths; None where none fits."""
        real = int(lengths.sum())
        found = next((size for size in self.tokens if size >= real), None)
        if found is None or lengths.max() > self.longest:
            return None
        return found if len(lengths) + self._fillers(found - real) <= self.sequences else None

    def filled(self, lengths: np.ndarray, tokens: int) -> np.ndarray:
        """(sequences,): these lengths, then sequences that fill `tokens` up, then empty ones."""
        left = tokens - int(lengths.sum())
        result = np.zeros(self.sequences, dtype=np.int64)
        result[: len(lengths)] = lengths
        fillers = self._fillers(left)
        result[len(lengths) : len(lengths) + fillers] = self.longest
        if fillers:
            result[len(lengths) + fillers - 1] = left - (fillers - 1) * self.longest
        return result

    def _fillers(self, tokens: int) -> int:
        return -(-tokens // self.longest)


def graph_sizes(batches: Sequence[np.ndarray], most_tokens: float) -> GraphSizes | None:
    """Sizes for batches like these, given as the lengths of their sequences; None where all are over `most_tokens`.

    A tenth of the batches lies between each size and the next. Larger batches than any of these fit no size.
    """
    kept = [lengths for lengths in batches if 0 < lengths.sum() <= most_tokens]
    if not kept:
        return None
    counts = np.array([lengths.sum() for lengths in kept])
    edges = np.quantile(counts, np.arange(1, MOST + 1) / MOST, method="higher")
    tokens = np.unique(_rounded_up(edges, TOKENS_TO))
    longest = max(int(lengths.max()) for lengths in kept)
    fillers = -(-int(np.diff(tokens, prepend=0).max()) // longest)
    sequences = _rounded_up(np.array([max(len(lengths) for lengths in kept) + fillers]), SEQUENCES_TO)
    return GraphSizes(tuple(int(size) for size in tokens), int(sequences[0]), longest)


def _rounded_up(values: np.ndarray, step: int) -> np.ndarray:
    return -(-values.astype(np.int64) // step) * step
