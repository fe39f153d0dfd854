"""Number of examples and tokens of a task's data: exact where it is encoded, else estimated.

Each size says how it is known, best first: `encoded` (exact), `rows` and `source` (from characters, by the mean
number of characters of a token), `given` (the configuration's `estimate`), or not at all.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.recipes import by_version, of_version, variants
from stiltgrid.utils.errors import StiltgridError

CHARACTERS_A_TOKEN = 4.0  # assumed until some data is encoded
SAMPLE = 500  # rows whose characters are counted, over all of a task's languages
TOKENS_AN_EXAMPLE = 64  # assumed where the configuration gives only the number of examples
TEXTLESS = frozenset({"id", "language", "split", "role", "title", "answer_texts", "gold", "group"})
# The context of a multiple-choice row is read with each option.
CONTEXT, OPTIONS = "context", "choices"


@dataclass(frozen=True)
class Size:
    """Number of examples, number of their tokens, and how both are known."""

    examples: int
    tokens: float
    known: str

    @property
    def mean(self) -> float:
        """Mean tokens of an example."""
        return self.tokens / max(1, self.examples)


class DataSizes:
    """Sizes of a grid's data under a results folder, cached."""

    def __init__(self, grid: Grid, results: Path, source: Source | None) -> None:
        self.grid, self.results, self.source = grid, results, source
        self._found: dict[tuple[str, str, str], Size | None] = {}
        self._ratios: dict[str, float] = {}
        self._variants = variants(grid)

    def size(self, model: str, name: str, split: str) -> Size | None:
        """Size of a task's `train`, `dev` or `eval` data for a model; None where nothing is known.

        `name` is the name of the data's folder: a task, or a version of it.
        """
        key = (model, name, split)
        if key not in self._found:
            self._found[key] = self._encoded(*key) or self._estimated(*key)
        return self._found[key]

    def looked_up(self) -> list[Size | None]:
        """Every size that has been requested."""
        return list(self._found.values())

    def _encoded(self, model: str, name: str, split: str) -> Size | None:
        from stiltgrid.modeling.encoded import read_encoded

        path = self.results / "encoded" / model / name / f"{split}.arrow"
        if not path.is_file():
            return None
        encoded = read_encoded(path)
        return Size(len(encoded.example_offsets) - 1, float(encoded.lengths.sum()), "encoded")

    def _estimated(self, model: str, name: str, split: str) -> Size | None:
        for known, find in (("rows", self._rows), ("source", self._in_source)):
            found = find(name, split)
            if found is not None:
                return Size(found[0], found[1] / self._characters_a_token(model), known)
        task = self._task(name)
        given = self.grid.estimate.get("examples", {}).get(task)
        if given is None or split == "eval":
            return None
        if split == "train" and name in self._variants:  # translations are as many as what they translate
            given *= len(self._variants[name].languages)
        each = self.grid.estimate.get("tokens_per_example", TOKENS_AN_EXAMPLE)
        each = each.get(task, TOKENS_AN_EXAMPLE) if isinstance(each, Mapping) else each
        return Size(given, float(given * each), "given")

    def _characters_a_token(self, model: str) -> float:
        """Mean characters of a token, measured on data that is both prepared and encoded for the model."""
        if model not in self._ratios:
            characters, tokens = 0.0, 0.0
            for path in sorted((self.results / "encoded" / model).glob("*/*.arrow")):
                rows, encoded = (
                    self._rows(path.parent.name, path.stem),
                    self._encoded(model, path.parent.name, path.stem),
                )
                if rows and encoded:
                    characters, tokens = characters + rows[1], tokens + encoded.tokens
            self._ratios[model] = characters / tokens if characters and tokens else CHARACTERS_A_TOKEN
        return self._ratios[model]

    def _rows(self, name: str, split: str) -> tuple[int, float] | None:
        """Examples and characters of prepared rows."""
        from stiltgrid.utils.parquet import read_parquet

        path = self.results / "data" / name / f"{split}.parquet"
        if not path.is_file():
            return None
        table = read_parquet(path)
        step = max(1, table.num_rows // SAMPLE)
        rows = table.take(list(range(0, table.num_rows, step))).to_pylist()
        return table.num_rows, table.num_rows * mean_characters(rows)

    def _in_source(self, name: str, split: str) -> tuple[int, float] | None:
        """Examples and characters of the source's rows; None where the source is remote or lacks them."""
        card = self.grid.cards.get(self._task(name))
        if self.source is None or card is None:
            return None
        try:
            parts = [_part(card, origin, where, code, self.source, split != "eval")
                     for origin, where, code in self._places(card, split, name)]  # fmt: skip
        except (StiltgridError, OSError):
            return None
        examples = sum(count for count, _ in parts)
        return (examples, sum(count * mean for count, mean in parts)) if examples else None

    def _task(self, name: str) -> str:
        """The task of a data folder's name."""
        return self._variants[name].task if name in self._variants else name

    def _places(self, card: TaskCard, split: str, name: str) -> Iterator[tuple[TaskCard, str, str]]:
        """Cards, splits and languages of the rows of a task, or of a variant."""
        training = split != "eval"
        if split == "train" and name in self._variants:
            for version, codes in by_version(card, self._variants[name], self.grid.source).items():
                for origin in card.origins(split):
                    yield from ((of_version(self.grid.cards[origin], version), split, code) for code in codes)
            return
        languages = card.train_languages if training else self.grid.languages(card.name)
        for where in (split,) if training else self.grid.eval_splits(card.name):
            for origin in card.origins(where):
                for code in languages:
                    yield self.grid.cards[origin], where, code


def _part(
    card: TaskCard, origin: TaskCard, split: str, language: str, source: Source, training: bool
) -> tuple[int, float]:
    """(rows, mean characters of a row) of a language."""
    from stiltgrid.data import adapters
    from stiltgrid.tasks.families import family

    read = origin if training or not card.adapter else card
    rows: Any = adapters.source_rows(read, split, language, source, training)
    first = list(islice(rows, SAMPLE // 5))
    examples = family(read.family).examples(read, first, language, split)
    return len(first) + sum(1 for _ in rows), mean_characters(list(examples))


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
