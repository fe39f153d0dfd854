"""Training only those rows of the embedding table whose tokens occur in a stage's data.

A multilingual vocabulary has hundreds of thousands of rows, and an English task uses a part of them. The other rows
have no gradient, so their moments stay zero and AdamW changes them by weight decay alone, w ← (1 - ηλ) w in each step
(Loshchilov & Hutter 2019). That product can be applied once, when the stage ends. The result is that of training the
whole table up to rounding, without gradients, moments and updates of rows that never occur.
"""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from stiltgrid.modeling.encoded import Encoded
from stiltgrid.modeling.tokenization import SpecialTokens

LOG = logging.getLogger(__name__)
# The largest share of rows worth a subset: these are held twice, the others need no gradient and no two moments.
MAX_SHARE = 0.5


class SubsetEmbedding(torch.nn.Embedding):
    """Some rows of an embedding table, looked up by the token ids of the whole table.

    `decayed` is the factor by which weight decay has reduced the other rows at the end of the stage.
    """

    def __init__(self, table: torch.nn.Embedding, rows: torch.Tensor) -> None:
        super().__init__(len(rows), table.embedding_dim, _weight=table.weight.detach()[rows].clone())
        self.whole, self.rows, self.decayed = (table,), rows, 1.0  # in a tuple: not a submodule
        self.places: torch.Tensor
        places = torch.full((table.num_embeddings,), -1, device=rows.device)
        places[rows] = torch.arange(len(rows), device=rows.device)
        self.register_buffer("places", places, persistent=False)
        if table.padding_idx is not None and places[table.padding_idx] >= 0:
            self.padding_idx = int(places[table.padding_idx])

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Vectors of token ids; raises IndexError for an id outside the subset (on a CPU)."""
        return super().forward(self.places[input_ids])

    @property
    def omitted(self) -> int:
        """The number of weights in the rows outside the subset."""
        return self.whole[0].weight.numel() - self.weight.numel()

    @torch.no_grad()
    def write_back(self) -> None:
        """Write the trained rows into the whole table and apply weight decay to the others."""
        weight = self.whole[0].weight
        if self.decayed != 1.0:
            weight.mul_(self.decayed)
        weight[self.rows] = self.weight


def used_ids(data: Iterable[Encoded], special: SpecialTokens) -> np.ndarray:
    """(ids,) ascending: the token ids in the data and those that batches add around sequences."""
    around = np.asarray([special.pad, *special.around, *([] if special.mask is None else [special.mask])])
    found = [around, *(encoded.tokens["input_ids"] for encoded in data)]
    used = np.zeros(1 + max(int(ids.max(initial=0)) for ids in found), dtype=bool)
    for ids in found:
        used[ids] = True
    return np.flatnonzero(used)


def use_subset(model: Any, used: np.ndarray) -> SubsetEmbedding | None:
    """Replace a model's embedding table by its used rows and freeze the whole table.

    Returns None and changes nothing where most rows are used, or the table is not trained or not a plain embedding.
    """
    table = model.get_input_embeddings()
    plain = type(table) is torch.nn.Embedding and table.max_norm is None and not table.scale_grad_by_freq
    if not plain or not table.weight.requires_grad or len(used) > MAX_SHARE * len(table.weight):
        return None
    subset = SubsetEmbedding(table, torch.from_numpy(used).to(table.weight.device))
    table.weight.requires_grad_(False)
    model.set_input_embeddings(subset)
    LOG.info("training %d of %d rows of the embedding table", len(subset.rows), table.num_embeddings)
    return subset


def subset_of(table: torch.nn.Module) -> SubsetEmbedding | None:
    """The embedding table if it has been replaced by a subset, else None."""
    return table if isinstance(table, SubsetEmbedding) else None


def remaining_weight(rates: Iterable[float], weight_decay: float) -> float:
    """The factor that steps at these learning rates leave of a weight without a gradient: the product of 1 - ηλ."""
    left = 1.0
    for rate in rates:
        left *= 1.0 - rate * weight_decay
    return left
