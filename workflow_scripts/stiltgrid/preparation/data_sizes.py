"""Number of examples and tokens of a task's data: exact where it is encoded, else estimated.

Each size says how it is known, best first: `encoded` (exact), `rows` and `source` (from a sample of rows), `given`
(the configuration's `estimate`), `card` (what the card says of the published data set), or not at all.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stiltgrid.data.sources.base import Source
from stiltgrid.grid import paths
from stiltgrid.grid.card_sizes import CardSizes
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.recipes import by_version, of_version, variants
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.preparation.published_sizes import Part, PublishedSizes, sentences, unknown
from stiltgrid.preparation.row_samples import RowSampler, Sample, spread
from stiltgrid.preparation.token_counts import CHARACTERS_A_TOKEN, mean_characters, mean_tokens, tokenizer_of
from stiltgrid.tasks.families import family
from stiltgrid.utils.errors import StiltgridError

SAMPLE = 100  # rows of each language and split that are read; up to twice as many
TOKENS_AN_EXAMPLE = 64  # assumed where the configuration gives only the number of examples


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
    """Sizes of a grid's data under a results folder, cached.

    `left_out` collects the languages without a known size, by task and split. `source` reads rows that are on this
    machine; None where there are none. `cards` are the sizes that cards carry, `folders` the folders of models on this
    machine.
    """

    def __init__(
        self,
        grid: Grid,
        results: Path,
        source: Source | None,
        cards: Mapping[str, CardSizes] | None = None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self.grid, self.results, self.source = grid, results, source
        self._assumed: dict[str, str] = {}
        self._parts: list[Part] = []
        self.left_out: dict[tuple[str, str], list[str]] = {}
        self._cards, self._folders = cards or {}, folders or {}
        self._temporary = tempfile.TemporaryDirectory(prefix="stiltgrid_estimate_")
        self._published = PublishedSizes(grid, self._cards)
        self._found: dict[tuple[str, str, str], Size | None] = {}
        self._tokenizers: dict[str, SubwordTokenizer | None] = {}
        self._samples: dict[tuple[str, str], list[Sample]] = {}
        self._ratios: dict[str, float] = {}
        self._variants = variants(grid)

    def size(self, model: str, name: str, split: str) -> Size | None:
        """Size of a task's `train`, `dev` or `eval` data for a model; None where nothing is known.

        `name` is the name of the data's folder: a task, or a version of it.
        """
        key = (model, name, split)
        if key not in self._found:
            found = self._encoded(*key) or self._in_rows(*key) or self._in_source(*key)
            self._found[key] = found or self._given(name, split) or self._on_card(name, split)
        return self._found[key]

    def looked_up(self) -> list[Size | None]:
        """Every size that has been requested."""
        return list(self._found.values())

    def assumed(self) -> list[str]:
        """A sentence for each figure that had to be assumed so far."""
        return [*self._assumed.values(), *sentences(self._parts)]

    # ---- files of the results folder -----------------------------------------------------------------------------

    def _encoded(self, model: str, name: str, split: str) -> Size | None:
        from stiltgrid.modeling.encoded import read_encoded

        path = self.results / "encoded" / model / name / f"{split}.arrow"
        if not path.is_file():
            return None
        encoded = read_encoded(path)
        return Size(len(encoded.example_offsets) - 1, float(encoded.lengths.sum()), "encoded")

    def _in_rows(self, model: str, name: str, split: str) -> Size | None:
        prepared = self._prepared(name, split)
        return self._size(model, name, split, [prepared], "rows") if prepared else None

    def _prepared(self, name: str, split: str) -> Sample | None:
        """A sample of prepared rows."""
        from stiltgrid.tasks.families.common import with_labels
        from stiltgrid.utils.parquet import read_parquet

        path, card = self.results / "data" / name / f"{split}.parquet", self.grid.cards.get(self._task(name))
        if not path.is_file() or card is None:
            return None
        table = read_parquet(path)
        _, places = spread(range(table.num_rows), 5 * SAMPLE)
        return Sample(with_labels(card, table.schema), table.num_rows, table.take(places))

    # ---- the source ----------------------------------------------------------------------------------------------

    def _in_source(self, model: str, name: str, split: str) -> Size | None:
        """From the source's rows; None where the source is remote or lacks them."""
        card = self.grid.cards.get(self._task(name))
        if self.source is None or card is None or (self.grid.source == "hub" and self._remote(card, split)):
            return None
        if (name, split) not in self._samples:
            try:
                self._samples[name, split] = list(self._sampled(card, name, split, self.source))
            except (StiltgridError, OSError):
                self._samples[name, split] = []
        samples = self._samples[name, split]
        return self._size(model, name, split, samples, "source") if samples else None

    def _remote(self, card: TaskCard, split: str) -> bool:
        return any(self.grid.cards[origin].hub is not None for origin in card.origins(split))

    def _sampled(self, card: TaskCard, name: str, split: str, source: Source) -> Iterator[Sample]:
        if split == "eval":
            sampler = RowSampler(card, self.grid.cards, source, training=False, most=SAMPLE)
            splits, languages = self.grid.eval_splits(card.name), self.grid.languages(card.name)
            limit = self.grid.evaluation_for(card.name).examples
            if "role" in family(card.family).schema.names:
                yield sampler.pool(splits, languages, limit)
                return
            for where in splits:
                for code in languages:
                    yield from sampler.samples(where, code, limit) if sampler.has(where, code) else ()
            return
        if split == "train" and name in self._variants:
            for version, codes in by_version(card, self._variants[name], self.grid.source).items():
                origins = {key: of_version(each, version) for key, each in self.grid.cards.items()}
                sampler = RowSampler(of_version(card, version), origins, source, training=True, most=SAMPLE)
                for code in codes:
                    yield from sampler.samples("train", code)
            return
        sampler = RowSampler(card, self.grid.cards, source, training=True, most=SAMPLE)
        held_out = card.dev_from_train if not self._has_dev(sampler) else None
        found = [
            sample
            for code in card.train_languages
            if sampler.has("train" if held_out else split, code)
            for sample in sampler.samples("train" if held_out else split, code)
        ]
        yield from found if held_out is None else _parted(found, held_out, split)

    def _has_dev(self, sampler: RowSampler) -> bool:
        return any(sampler.has("dev", code) for code in sampler.card.train_languages)

    # ---- tokens --------------------------------------------------------------------------------------------------

    def _size(self, model: str, name: str, split: str, samples: list[Sample], known: str) -> Size:
        tokens = sum(sample.count * self._mean(model, name, split, sample) for sample in samples)
        return Size(round(sum(sample.count for sample in samples)), tokens, known)

    def _mean(self, model: str, name: str, split: str, sample: Sample) -> float:
        """Mean tokens of a sample's rows for a model."""
        _, places = spread(range(sample.rows.num_rows), 5 * SAMPLE)
        rows = sample.rows.take(places)
        tokenizer = self._tokenizer(model)
        if tokenizer is None:
            return mean_characters(rows.to_pylist()) / self._characters_a_token(model)
        length = paths.sequence_length(self.grid, self.grid.models[model], self._task(name))
        return mean_tokens(sample.card, rows, tokenizer, length, training=split != "eval")

    def _tokenizer(self, model: str) -> SubwordTokenizer | None:
        if model not in self._tokenizers:
            place = Path(self._temporary.name, model)
            found = tokenizer_of(self.grid.models[model], self.results, self._folders.get(model), place)
            self._tokenizers[model] = found
        return self._tokenizers[model]

    def _characters_a_token(self, model: str) -> float:
        """Mean characters of a token, measured on data that is both prepared and encoded for the model."""
        if model not in self._ratios:
            characters, tokens = 0.0, 0.0
            for path in sorted((self.results / "encoded" / model).glob("*/*.arrow")):
                rows = self._prepared(path.parent.name, path.stem)
                encoded = self._encoded(model, path.parent.name, path.stem)
                if rows and encoded:
                    characters += rows.count * mean_characters(rows.rows.to_pylist())
                    tokens += encoded.tokens
            if not (characters and tokens):
                self._assumed[f"characters/{model}"] = (
                    f"{model}: {CHARACTERS_A_TOKEN:g} characters a token, since its tokenizer is not there yet"
                )
            self._ratios[model] = characters / tokens if characters and tokens else CHARACTERS_A_TOKEN
        return self._ratios[model]

    # ---- figures without data --------------------------------------------------------------------------------------

    def _given(self, name: str, split: str) -> Size | None:
        task = self._task(name)
        given = self.grid.estimate.get("examples", {}).get(task)
        if given is None or split == "eval":
            return None
        if split == "train" and name in self._variants:  # translations are as many as what they translate
            given *= len(self._variants[name].languages)
        each, said = self._tokens_of_example(task)
        self._assumed[f"{task}/train"] = f"{task}: {given:,} training examples, as the configuration says, {said}"
        return Size(given, float(given * each), "given")

    def _tokens_of_example(self, task: str) -> tuple[float, str]:
        """Mean tokens of a training example, and where the number is from."""
        given = self.grid.estimate.get("tokens_per_example")
        given = given.get(task) if isinstance(given, Mapping) else given
        if given is not None:
            return given, f"of {given:g} tokens, as it says too"
        card = self._cards.get(task)
        if card is not None and (mean := card.mean("train")) is not None:
            return mean, f"of {mean:g} tokens, as its card says ({card.source})"
        return TOKENS_AN_EXAMPLE, f"of {TOKENS_AN_EXAMPLE} tokens, since nothing says how long they are"

    def _on_card(self, name: str, split: str) -> Size | None:
        """From what cards say of the published data sets. Training rows are known whole or not at all."""
        card = self.grid.cards.get(self._task(name))
        if card is None or self.grid.source == "minilab":
            return None
        parts = self._published.parts(card, split, self._variants.get(name))
        known = [(part.count, part.mean) for part in parts if part.count is not None]
        if not known or (split == "train" and len(known) < len(parts)):
            if split == "dev":
                self.left_out.update(unknown(parts))
            return None
        self.left_out.update(unknown(parts))
        self._parts += parts
        return Size(sum(count for count, _ in known), sum(count * mean for count, mean in known), "card")

    def _task(self, name: str) -> str:
        """The task of a data folder's name."""
        return self._variants[name].task if name in self._variants else name


def _parted(samples: list[Sample], held_out: int, split: str) -> list[Sample]:
    """Samples of all training rows as those of training, or of the `held_out` rows that are development rows."""
    total = sum(sample.count for sample in samples)
    share = min(1.0, held_out / max(1.0, total))
    return [replace(each, count=each.count * (share if split == "dev" else 1 - share)) for each in samples]
