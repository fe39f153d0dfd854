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
