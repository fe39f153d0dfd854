"""Building blocks of language modelling: packed text, masks, new masked (XLM-R) or causal (GPT-2, Llama) models."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING
from transformers.utils import logging as transformers_logging

from stiltgrid.data.raw_text import read_texts
from stiltgrid.grid.architectures import CAUSAL, MASKED_TYPES, OFFSET_POSITIONS
from stiltgrid.grid.params import QUIET
from stiltgrid.modeling.library_errors import library_errors
from stiltgrid.modeling.planning import ExampleOrder
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.seeding import derive_seed

TOKENIZER_BATCH = 1000  # documents
UNMASKED, REPLACED = 0.1, 0.1  # of the chosen tokens: unchanged, replaced by a random piece


@dataclass(frozen=True)
class PretrainSettings:
    """The settings of a `pretrain:` model that its training uses. `language_exponent` is XLM-R's alpha.

    For the first `short_share` of the steps, rows are cut into pieces of `short_length` tokens: small models learn
    faster on short sequences, and the later steps train the longer positions (after Press et al. 2021,
    "Shortformer").
    """

    architecture: Mapping[str, Any]
    sequence_length: int
    steps: int
    tokens_per_step: int
    objective: str = "masked"
    mask_rate: float = 0.15
    learning_rate: float = 1e-3
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    optimizer: str = "adamw"
    muon_learning_rate: float = 0.02
    language_exponent: float = 0.3
    max_grad_norm: float = 1.0
    seed: int = 1
    short_length: int | None = field(default=None, metadata=QUIET)
    short_share: float = field(default=0.8, metadata=QUIET)

    def rows(self, ids: np.ndarray, step: int) -> np.ndarray:
        """A step's tokens, (rows, sequence_length), reshaped to the row length of that step."""
        if self.short_length is None or step >= self.short_share * self.steps:
            return ids
        return ids.reshape(-1, self.short_length)

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> "PretrainSettings":
        """From the config's mapping; its other keys (text, tokenizer) belong to earlier rules."""
        return cls(**{key: value for key, value in settings.items() if key in cls.__dataclass_fields__})


class PackedText:
    """Concatenated documents of each language, cut into rows of one length without padding.

    Attention crosses document boundaries, which `<s>` and `</s>` mark.
    """

    def __init__(self, path: str | os.PathLike[str], tokenizer: SubwordTokenizer, length: int, seed: int) -> None:
        streams: dict[str, list[np.ndarray]] = {}
        documents: dict[str, list[str]] = {}
        for language, text in read_texts(path):
            documents.setdefault(language, []).append(text)
        for language, texts in documents.items():
            order = np.random.default_rng(derive_seed(seed, "documents", language)).permutation(len(texts))
            for start in range(0, len(order), TOKENIZER_BATCH):
                batch = [texts[place] for place in order[start : start + TOKENIZER_BATCH]]
                pieces = [np.asarray(tokenizer.join(ids), dtype=np.int32) for ids in tokenizer.ids(batch)]
                streams.setdefault(language, []).append(np.concatenate(pieces))
        self.languages = sorted(streams)
        self.rows = [_rows(np.concatenate(streams[language]), length) for language in self.languages]
        self.tokens = {name: rows.size for name, rows in zip(self.languages, self.rows, strict=True)}

    def steps(self, steps: int, rows_per_step: int, exponent: float, seed: int) -> Iterator[np.ndarray]:
        """(rows_per_step, length) token ids of each step; languages are drawn in proportion to tokens ** exponent."""
        weights = np.asarray(list(self.tokens.values()), dtype=np.float64) ** exponent
        random = np.random.default_rng(derive_seed(seed, "languages"))
        orders = [
            ExampleOrder(np.arange(len(rows)), derive_seed(seed, "rows", name))
            for name, rows in zip(self.languages, self.rows, strict=True)
        ]
        for _ in range(steps):
            counts = random.multinomial(rows_per_step, weights / weights.sum())
            drawn = zip(self.rows, orders, counts, strict=True)
            yield np.concatenate([rows[order.take(int(count))] for rows, order, count in drawn if count])


def _rows(stream: np.ndarray, length: int) -> np.ndarray:
    if len(stream) < length:
        stream = np.resize(stream, length)
    return stream[: len(stream) // length * length].reshape(-1, length)


def mask_tokens(
    ids: np.ndarray, rate: float, mask: int, special: np.ndarray, vocabulary: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Masked ids, and the flat positions to predict (Devlin et al. 2019: 80 % mask, 10 % random, 10 % unchanged)."""
    chosen = (random.random(ids.shape) < rate) & ~np.isin(ids, special)
    places = np.flatnonzero(chosen)
    draw = random.random(len(places))
    found = ids.copy()
    flat = found.reshape(-1)
    flat[places[draw >= UNMASKED + REPLACED]] = mask
    swapped = places[(draw >= UNMASKED) & (draw < UNMASKED + REPLACED)]
    flat[swapped] = random.integers(len(special), vocabulary, len(swapped))
    return found, places


def build_language_model(settings: PretrainSettings, tokenizer: SubwordTokenizer) -> Any:
    """A randomly initialised masked or causal model of the configured architecture, sized for the tokenizer.

    Raises StiltgridError for an architecture without such a model.
    """
    transformers_logging.disable_progress_bar()
    options = dict(settings.architecture)
    kind = options.pop("model_type")
    extra = tokenizer.pad + 1 if kind in OFFSET_POSITIONS else 0
    defaults = {
        "vocab_size": tokenizer.vocabulary_size,
        "pad_token_id": tokenizer.pad,
        "bos_token_id": tokenizer.prefix[0],
        "eos_token_id": tokenizer.suffix[-1],
        "max_position_embeddings": settings.sequence_length + extra,
    }
    causal = settings.objective == CAUSAL
    if causal and kind in MASKED_TYPES:
        defaults["is_decoder"] = True
    with library_errors(f"architecture '{kind}': transformers refuses it"):
        config = AutoConfig.for_model(kind, **{**defaults, **options})
    mapping = MODEL_FOR_CAUSAL_LM_MAPPING if causal else MODEL_FOR_MASKED_LM_MAPPING
    if type(config) not in mapping:
        raise StiltgridError(f"architecture '{kind}' has no {settings.objective} language model in transformers")
    with library_errors(f"architecture '{kind}': transformers cannot build it"):
        return mapping[type(config)](config)


def head_modules(model: Any) -> list[tuple[str, Any]]:
    """The modules of a language model's head, in order of use: all children but the backbone."""
    return [(name, module) for name, module in model.named_children() if module is not model.base_model]


def head_state(model: Any) -> dict[str, torch.Tensor]:
    """The weights of a language model's head in float32, by name; tensors tied to the backbone are left out."""
    tied = {value.data_ptr() for value in model.base_model.state_dict().values()}
    kept: dict[str, torch.Tensor] = {}
    for name, module in head_modules(model):
        for key, value in module.state_dict().items():
            if value.data_ptr() not in tied:
                tied.add(value.data_ptr())
                kept[f"{name}.{key}"] = value.detach().float().cpu().contiguous()
    return kept
