"""The part of a backbone that a stage trains: all of it, all but its embeddings, or low-rank adapters.

Where all of it is trained, rows of the embedding table that do not occur in the stage's data are left out (see
`vocabulary_subset`). The next stage always starts from a whole backbone under its own keys: adapters are merged into
the weights when the stage ends, and frozen embeddings are unchanged. `peft` is imported only for adapters.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from stiltgrid.grid.grid import TrainingSettings
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.optimizers import Muon, adamw, decay_groups, split_matrices
from stiltgrid.training.vocabulary_subset import use_subset
from stiltgrid.utils.errors import StiltgridError

LOG = logging.getLogger(__name__)
ALL_LINEAR = "all-linear"


def base_dtype(settings: list[TrainingSettings], dtype: torch.dtype) -> torch.dtype:
    """The dtype of a job's backbone in memory: `dtype`, that of the arithmetic, where all stages train adapters only.

    Trained weights are kept in float32, adapters among them.
    """
    return dtype if all(item.lora for item in settings) else torch.float32


@contextlib.contextmanager
def trainable_part(
    backbone: Backbone, settings: TrainingSettings, used: np.ndarray | None = None
) -> Iterator[list[torch.nn.Parameter]]:
    """Make only the configured part trainable inside the block; yields the backbone's frozen weights.

    `used` are the token ids in the data (see `vocabulary_subset`), None to keep the whole embedding table. New
    adapters have no effect at first; torch's generator draws their first matrices. They are merged when the block
    ends, not when it fails. Raises StiltgridError for adapter targets that the model does not have.
    """
    before = [item for item in backbone.parameters() if item.requires_grad]
    tuner = _adapters(backbone, settings.lora) if settings.lora else None
    if settings.freeze == "embeddings":
        backbone.token_embeddings.requires_grad_(False)
    subset = None if used is None else use_subset(backbone.reader, used)
    yield [item for item in before if not item.requires_grad]
    if tuner is not None:
        tuner.merge_and_unload()
    if subset is not None:
        subset.write_back()
        backbone.reader.set_input_embeddings(subset.whole[0])
    for item in before:
        item.requires_grad_(True)


def stage_optimizers(
    backbone: Backbone, parameters: Iterable[torch.nn.Parameter], settings: TrainingSettings
) -> list[torch.optim.Optimizer]:
    """AdamW, or Muon for the backbone's matrices and AdamW for the rest of the parameters."""
    matrices = split_matrices(backbone)[0] if settings.optimizer == "muon" else []
    taken = {id(item) for item in matrices}
    rest = decay_groups((item for item in parameters if id(item) not in taken), settings.weight_decay)
    found: list[torch.optim.Optimizer] = [adamw(rest, settings.learning_rate, settings.adam_epsilon)]
    if matrices:
        decay = settings.weight_decay
        found.append(Muon(matrices, settings.learning_rate, weight_decay=decay, match_adamw=True))
    return found


def _adapters(backbone: Backbone, lora: Mapping[str, Any]) -> Any:
    """Add adapters to the linear layers of the model (of an encoder-decoder: its encoder), in place."""
    from peft import LoraConfig, LoraModel

    asked = [name for name in lora.get("targets", ()) if name != ALL_LINEAR]
    options = LoraConfig(
        r=lora["rank"],
        lora_alpha=lora.get("alpha", 2 * lora["rank"]),
        lora_dropout=lora.get("dropout", 0.0),
        target_modules=asked or ALL_LINEAR,
    )
    names = {name.rpartition(".")[2] for name, item in backbone.reader.named_modules() if not list(item.children())}
    unknown = [name for name in asked if name.rpartition(".")[2] not in names]
    if unknown:
        raise StiltgridError(f"lora.targets: no layer '{unknown[0]}' in this model; it has {', '.join(sorted(names))}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft reports GPT-2's transposed layers
        tuner = LoraModel(backbone.reader, options, "default")
    trained = sum(item.numel() for item in backbone.parameters() if item.requires_grad)
    LOG.info("training adapters of rank %d: %d of %d parameters", lora["rank"], trained, backbone.parameter_count)
    return tuner
