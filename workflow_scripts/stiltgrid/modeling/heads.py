"""Heads on top of a backbone. Weights are drawn as BERT's are: normal with deviation 0.02, biases zero."""

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
    """One linear layer on every token: (tokens, hidden) -> (tokens, outputs)."""

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

    The scale itself is learnt, not its logarithm, as there. XTREME-R's vectors pass BERT's pooler (a dense
    layer and tanh); here they are the backbone's pooled states as they are, so that only the backbone differs
    between intermediates.
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
    """Sum over queries of the cross-entropy of picking their own candidate, row i's being column i.

    `groups` (n,) numbers candidates of the same text. Another query's copy of one's own candidate is no
    negative and is left out of the softmax (XTREME-R keeps it; there the loss can never reach 0).
    """
    same = groups[:, None] == groups[None, :]
    same.fill_diagonal_(False)
    logits = logits.float().masked_fill(same, float("-inf"))
    targets = torch.arange(len(logits), device=logits.device)
    return nn.functional.cross_entropy(logits, targets, reduction="sum")
