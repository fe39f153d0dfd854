"""A grid of two rows and two columns in a small world; each training takes some seconds, so that it can be hurt."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import PATIENCE
from repository import Repository

LANGUAGES = ["en", "qaa", "qab"]
SMALL: Mapping[str, Any] = {
    "source": "minilab",
    "world": {"documents": 600, "train_examples": 300, "eval_examples": 20, "languages": LANGUAGES},
    "models": {
        "tiny": {
            "pretrain": {
                "languages": LANGUAGES,
                "tokenizer": {"algorithm": "bpe", "vocabulary": 300, "pre_tokenizer": "metaspace"},
                "architecture": {
                    "model_type": "xlm-roberta",
                    "hidden_size": 32,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 2,
                    "intermediate_size": 64,
                },
                "sequence_length": 128,
                "steps": 400,
                "tokens_per_step": 512,
            }
        }
    },
    "intermediates": ["none", "mnli"],
    "targets": ["xnli", "tatoeba"],
    "seeds": [1],
    "training": {
        "all": {"learning_rate": 0.002, "max_steps": 800, "epochs": 1000, "batch_size": 8, "evaluate_every": 400}
    },
}
# Seconds for the grid in peace, where half a minute to one is usual.
BUSY, LONGEST = 120 * PATIENCE, 240 * PATIENCE
# What no clock is written into: weights, token ids, predictions, tables.
COMPARED = ("**/*.safetensors", "**/*.arrow", "scores/**/predictions.parquet", "tables/*.tsv", "tables/scores.parquet")


@dataclass(frozen=True)
class Undisturbed:
    """The grid that was left in peace, and how long it took."""

    repository: Repository
    seconds: float


def run_undisturbed(folder: Path) -> Undisturbed:
    """Run the small grid to its end."""
    repository = Repository(folder)
    repository.configure(SMALL)
    started = time.monotonic()
    repository.run(timeout=LONGEST)
    return Undisturbed(repository, time.monotonic() - started)


def products(repository: Repository) -> dict[Path, Path]:
    """Finished files whose bytes must be those of any other run of the same grid, by their names in `results`."""
    results = repository.folder / "results"
    found = {path.relative_to(results): path for pattern in COMPARED for path in results.glob(pattern)}
    return {
        name: path
        for name, path in found.items()
        if name.parts[0] != "resume" and not any(part.startswith(".") for part in name.parts)
    }
