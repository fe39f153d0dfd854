"""Two-layer backbones with random weights and synthetic tasks, for tests of training and scoring."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model, TrainingSettings
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.batching import Batch, make_batch
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.preparation.encode import encode_file
from stiltgrid.tasks.families import family
from transformers import AutoConfig, AutoModel

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 66,
    "type_vocab_size": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
MODEL = as_params(Model("tiny", path="models/tiny", pooling="mean"))
WORDS = ("lamp", "boat", "market", "bread", "honey", "cliff", "night", "blue", "white", "spring")


def write_backbone(folder: Path, tokenizer_folder: Path, kind: str = "xlm-roberta", **shape: Any) -> Path:
    """A Hugging Face folder with random weights for the tokenizer's vocabulary."""
    tokenizer = SubwordTokenizer(tokenizer_folder)
    torch.manual_seed(7)
    options = {**(SHAPE if kind == "xlm-roberta" else {}), **shape}
    config = AutoConfig.for_model(kind, vocab_size=tokenizer.vocabulary_size, pad_token_id=tokenizer.pad, **options)
    options = {"add_pooling_layer": False} if kind in ("xlm-roberta", "bert") else {}
    AutoModel.from_config(config, **options).save_pretrained(folder)
    return folder


def batch_of(lengths: Sequence[int], rows: Sequence[int] | None = None) -> Batch:
    """A batch of sequences of these lengths with fixed random token ids; `rows` selects some of them."""
    draw = np.random.default_rng(3)
    ids = [draw.integers(5, 200, length).tolist() for length in lengths]
    data = Encoded(to_table({"input_ids": ids, "example": list(range(len(ids)))}))
    return make_batch(data, range(len(ids)) if rows is None else rows, pad=1)


def sequence_card(name: str = "toy", **more: Any) -> TaskCard:
    """Two labels told by one word of the second text."""
    values: dict[str, Any] = {"languages": ("en", "de"), "metric": "accuracy", "max_length": 64, "train": (name,)}
    return TaskCard(name, "sequence", "", "", **{**values, "labels": ("yes", "no"), **more})


def sequence_rows(count: int, language: str, split: str, seed: int) -> list[dict[str, Any]]:
    """Rows of very different lengths, so that micro-batches matter."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = draw.randint(0, 1)
        rows.append(
            {
                "id": f"{language}-{split}-{number}",
                "language": language,
                "split": split,
                "text_a": " ".join(draw.choices(WORDS, k=draw.randint(1, 12))),
                "text_b": f"{draw.choice(WORDS)} {'harbour' if label else 'valley'}",
                "label": label,
            }
        )
    return rows


def write_task(folder: Path, tokenizer_folder: Path, card: TaskCard, train: int = 96, seed: int = 1) -> dict[str, Any]:
    """Encode a synthetic task; the paths that training reads, by the names it reads them under."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "train": sequence_rows(train, "en", "train", seed),
        "dev": sequence_rows(40, "en", "dev", seed + 1),
        "eval": sequence_rows(30, "en", "test", seed + 2) + sequence_rows(30, "de", "test", seed + 3),
    }
    for name, rows in parts.items():
        table = pa.Table.from_pylist(rows, schema=family("sequence").schema)
        pq.write_table(table, folder / f"{name}.parquet")
        encode_file(card, folder / f"{name}.parquet", tokenizer_folder, folder / f"{name}.arrow", 64, name == "train")
    return {
        "card": as_params(card),
        "train": str(folder / "train.arrow"),
        "train_rows": str(folder / "train.parquet"),
        "dev": str(folder / "dev.arrow"),
        "dev_rows": str(folder / "dev.parquet"),
    }


def with_settings(task: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """The task's params with training settings; fast ones unless told."""
    values = {"learning_rate": 3e-3, "batch_size": 16, "epochs": 2.0, **settings}
    return {**task, "settings": as_params(TrainingSettings(**values))}
