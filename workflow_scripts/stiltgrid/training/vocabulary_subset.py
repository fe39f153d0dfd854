"""Training only those rows of the vocabulary's table that a stage's data hold.

A multilingual vocabulary has hundreds of thousands of rows, an English task uses a part of them. The others get no
gradient, so their moments stay zero and all that AdamW does to them is weight decay, w ← (1 - ηλ) w in each step
(Loshchilov & Hutter 2019), which can as well be done once, when the stage ends. The same training, then, but for the
last bits, without gradients, moments and updates of what never occurs.
"""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from stiltgrid.modeling.encoded import Encoded
from stiltgrid.modeling.tokenization import SpecialTokens

LOG = logging.getLogger(__name__)
WORTH_IT = 0.5  # of the rows: the part that is used is held twice, the rest is spared its gradient and two moments


class UsedRows(torch.nn.Embedding):
    """Some rows of a table, asked for by the ids that they have in the whole of it.

    `decayed` is what weight decay has left of the other rows by the end of the stage.
    """

    def __init__(self, table: torch.nn.Embedding, rows: torch.Tensor) -> None:
        super().__init__(len(rows), table.embedding_dim, _weight=table.weight.detach()[rows].clone())
        self.whole, self.rows, self.decayed = (table,), rows, 1.0  # in a tuple: no part of the model
        self.places: torch.Tensor
        places = torch.full((table.num_embeddings,), -1, device=rows.device)
        places[rows] = torch.arange(len(rows), device=rows.device)
        self.register_buffer("places", places, persistent=False)
        if table.padding_idx is not None and places[table.padding_idx] >= 0:
            self.padding_idx = int(places[table.padding_idx])

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Vectors of ids; an id whose row is not here is an error."""
        return super().forward(self.places[input_ids])

    @property
    def spared(self) -> int:
        """Weights of the rows that are not here."""
        return self.whole[0].weight.numel() - self.weight.numel()

    @torch.no_grad()
    def put_back(self) -> None:
        """Write the rows, and what decay has left of the others, into the whole table."""
        weight = self.whole[0].weight
        if self.decayed != 1.0:
            weight.mul_(self.decayed)
        weight[self.rows] = self.weight


def used_ids(data: Iterable[Encoded], special: SpecialTokens) -> np.ndarray:
    """(ids,) ascending: those that the data hold or that batches put around them."""
    around = np.asarray([special.pad, *special.around, *([] if special.mask is None else [special.mask])])
    found = [around, *(encoded.tokens["input_ids"] for encoded in data)]
    used = np.zeros(1 + max(int(ids.max(initial=0)) for ids in found), dtype=bool)
    for ids in found:
        used[ids] = True
    return np.flatnonzero(used)


def cut_to_used(reader: Any, used: np.ndarray) -> UsedRows | None:
    """Put the used rows in place of a model's whole table, which is frozen.

    None, and nothing is changed, where most rows are used, the table is not trained, or looks up in a way of its own.
    """
    table = reader.get_input_embeddings()
    plain = type(table) is torch.nn.Embedding and table.max_norm is None and not table.scale_grad_by_freq
    if not plain or not table.weight.requires_grad or len(used) > WORTH_IT * len(table.weight):
        return None
    cut = UsedRows(table, torch.from_numpy(used).to(table.weight.device))
    table.weight.requires_grad_(False)
    reader.set_input_embeddings(cut)
    LOG.info("%d of %d rows of the vocabulary's table occur here", len(cut.rows), table.num_embeddings)
    return cut


def cut_table(table: torch.nn.Module) -> UsedRows | None:
    """The table where it is cut to used rows."""
    return table if isinstance(table, UsedRows) else None


def decay_left(rates: Iterable[float], weight_decay: float) -> float:
    """What steps at these learning rates leave of a weight that has no gradient: the product of 1 - ηλ."""
    left = 1.0
    for rate in rates:
        left *= 1.0 - rate * weight_decay
    return left
