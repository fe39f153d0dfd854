"""Mean tokens of a task's rows, before the rows are encoded: of a sample, as the model's own tokenizer cuts them.

Where no tokenizer is on this machine yet, characters are counted, and `CHARACTERS_A_TOKEN` of them are a token.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.files import read_json, write_json

CHARACTERS_A_TOKEN = 4.0  # assumed until there is a tokenizer
TEXTLESS = frozenset({"id", "language", "split", "role", "title", "answer_texts", "gold", "group"})
# The context of a multiple-choice row is read with each option.
CONTEXT, OPTIONS = "context", "choices"


def tokenizer_of(model: Model, results: Path, folder: Path | None, place: Path) -> SubwordTokenizer | None:
    """The tokenizer of a model that was fetched or trained under `results`, or whose files are in `folder`.

    The latter is converted into the folder `place`, which the tokenizer goes on reading. None where neither has one.
    """
    fetched = results / "models" / model.name / "tokenizer"
    try:
        if (fetched / "special_tokens.json").is_file():
            return SubwordTokenizer(fetched)
        return _converted(folder, place) if folder is not None and not model.convert else None
    except (StiltgridError, OSError, ValueError):
        return None


def _converted(folder: Path, place: Path) -> SubwordTokenizer | None:
    """The tokenizer of a Hugging Face folder, in the form that jobs read; None where it has no fast form."""
    from transformers import AutoTokenizer

    from stiltgrid.preparation.models import reading, special_tokens

    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False, local_files_only=True)
    if not getattr(tokenizer, "is_fast", False):
        return None
    layout = {**special_tokens(tokenizer, len(tokenizer)), **reading(read_json(folder / "config.json"))}
    place.mkdir(parents=True)
    tokenizer.backend_tokenizer.save(str(place / "tokenizer.json"))
    write_json(layout, place / "special_tokens.json")
    return SubwordTokenizer(place)


def mean_tokens(card: TaskCard, rows: pa.Table, tokenizer: SubwordTokenizer, max_length: int, training: bool) -> float:
    """Mean tokens that a model reads of a canonical row, in all of its sequences."""
    columns = family(card.family).encode(card, rows, tokenizer, max_length, training)
    return sum(map(len, columns["input_ids"])) / max(1, rows.num_rows)


def mean_characters(rows: Iterable[Mapping[str, Any]]) -> float:
    """Mean characters that a model reads of a canonical row."""
    lengths = [_characters(row) for row in rows]
    return sum(lengths) / max(1, len(lengths))


def _characters(row: Mapping[str, Any]) -> int:
    texts = {name: value for name, value in row.items() if name not in TEXTLESS}
    pieces = chain.from_iterable(value if isinstance(value, list) else [value] for value in texts.values())
    total = sum(len(piece) for piece in pieces if isinstance(piece, str))
    options = row.get(OPTIONS)
    return total + (len(options) - 1) * len(row.get(CONTEXT) or "") if options else total
