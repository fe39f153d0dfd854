"""Sizes of data that is not there yet, from what cards say of the published data sets."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from stiltgrid.grid.card_sizes import CardSizes
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.recipes import ORIGINAL, Variant, by_version

EVAL = "eval"


@dataclass(frozen=True)
class Part:
    """Rows of one split and language: how many (None: unknown) and their mean tokens, by the card of `task`."""

    task: str
    split: str
    language: str
    count: int | None
    mean: float = 0.0
    source: str = ""


class PublishedSizes:
    """Sizes that the cards of a grid carry, of the rows that the grid reads."""

    def __init__(self, grid: Grid, cards: Mapping[str, CardSizes]) -> None:
        self.grid, self.cards = grid, cards

    def parts(self, card: TaskCard, split: str, variant: Variant | None = None) -> list[Part]:
        """Every split and language of a task's `train`, `dev` or `eval` rows; `variant` for a version of `train`."""
        if split == EVAL:
            return list(self._scored(card))
        if variant is not None and split == "train":
            return list(self._version(card, variant))
        held_out = card.dev_from_train if not {"dev"} & {*card.splits(self.grid.source), *card.rows} else None
        trained = [
            self._part(origin, "train" if held_out else split, code)
            for origin in self._origins(card, split)
            for code in card.train_languages
        ]
        if held_out is None or any(part.count is None for part in trained):
            return trained
        total = sum(part.count or 0 for part in trained)
        count = held_out if split == "dev" else total - held_out
        first = trained[0]
        return [Part(first.task, split, first.language, count, first.mean, first.source)]

    def _scored(self, card: TaskCard) -> Iterator[Part]:
        limit = self.grid.evaluation_for(card.name).examples
        missing = (card.source(self.grid.source) or {}).get("missing", {})
        for split in self.grid.eval_splits(card.name):
            for origin in self._origins(card, split):
                for code in self.grid.languages(card.name):
                    if code not in missing.get(split, ()):
                        yield self._part(origin, split, code, EVAL, limit)

    def _version(self, card: TaskCard, variant: Variant) -> Iterator[Part]:
        """Translations are as many as the rows that they translate."""
        for version, codes in by_version(card, variant, self.grid.source).items():
            for code in codes:
                for origin in self._origins(card, "train"):
                    yield self._part(origin, "train", code if version == ORIGINAL else card.train_languages[0])

    def _origins(self, card: TaskCard, split: str) -> list[CardSizes]:
        """The sizes of the cards whose rows form a split; those of the card itself, where it says how many it reads."""
        own = self.cards.get(card.name, CardSizes(card.name))
        if split in own.rows or card.adapter:
            return [own]
        return [self.cards.get(name, CardSizes(name)) for name in card.origins(split)]

    def _part(
        self, sizes: CardSizes, split: str, language: str, purpose: str = "train", limit: int | None = None
    ) -> Part:
        count, mean = sizes.count(split, language), sizes.mean(purpose)
        if count is None or mean is None:
            return Part(sizes.task, split, language, None)
        return Part(sizes.task, split, language, count if limit is None else min(count, limit), mean, sizes.source)


def sentences(parts: Iterable[Part]) -> list[str]:
    """What was assumed, a sentence for each task and mean length."""
    groups: dict[tuple[str, float, str], dict[str, int]] = {}
    for part in dict.fromkeys(parts):
        if part.count is not None:
            counts = groups.setdefault((part.task, part.mean, part.source), {})
            counts[part.split] = counts.get(part.split, 0) + part.count
    return [
        f"{task}: {', '.join(f'{count:,} {split}' for split, count in counts.items())} rows of {mean:g} tokens "
        f"(its card: {source})"
        for (task, mean, source), counts in groups.items()
    ]


def unknown(parts: Iterable[Part]) -> dict[tuple[str, str], list[str]]:
    """The languages without a known size, by task and split."""
    found: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        if part.count is None:
            found.setdefault((part.task, part.split), []).append(part.language)
    return found
