"""Heads on top of a backbone, initialised like BERT's: weights normal with standard deviation 0.02, biases zero."""

import torch
from torch import nn

DROPOUT = 0.1
DEVIATION = 0.02


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=DEVIATION)
        nn.init.zeros_(module.bias)


class ClassificationHead(nn.Module):
    """XLM-R's sentence head: dropout, dense, tanh, dropout, projection. (n, hidden) -> (n, outputs)."""

    def __init__(self, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(DROPOUT)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.projection = nn.Linear(hidden_size, outputs)
        self.apply(_initialise)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Scores of pooled states."""
        scores: torch.Tensor = self.projection(self.dropout(torch.tanh(self.dense(self.dropout(pooled)))))
        return scores


class TokenHead(nn.Module):
    """Dropout and one linear layer on every token: (tokens, hidden) -> (tokens, outputs)."""

    def __init__(self, hidden_size: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(hidden_size, outputs)
        self.apply(_initialise)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Scores of token states."""
        scores: torch.Tensor = self.projection(self.dropout(states))
        return scores


INITIAL_SCALE = 100.0


class DualHead(nn.Module):
    """Cosine similarity times `logit_scale`, a parameter that starts at 100 (XTREME-R's third_party/bert.py).

    As in XTREME-R, the scale itself is learnt, not its logarithm. XTREME-R's vectors pass through BERT's pooler (a
    dense layer and tanh). Here they are the backbone's pooled states, so that only the backbone differs between
    intermediates.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.full((1,), INITIAL_SCALE))

    def forward(self, queries: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """(queries, candidates) logits from vectors (n, hidden) of unit length."""
        return self.logit_scale * (queries @ candidates.T)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """(n, hidden) float32 vectors of length 1."""
    return nn.functional.normalize(vectors.float(), dim=-1)


def in_batch_loss(logits: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each query (row i) for its own candidate (column i), summed over queries.

    `groups` (n,) numbers candidates by their text. A candidate of the same text as the query's own is not a negative
    and is left out of the softmax. (XTREME-R keeps it, so its loss can never reach 0.)
    """
    same = groups[:, None] == groups[None, :]
    same.fill_diagonal_(False)
    logits = logits.float().masked_fill(same, float("-inf"))
    targets = torch.arange(len(logits), device=logits.device)
    return nn.functional.cross_entropy(logits, targets, reduction="sum")
