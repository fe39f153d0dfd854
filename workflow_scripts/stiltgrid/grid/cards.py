"""What the grid is made of: task cards, models, recipes, training settings. Pure; no torch, no I/O.

The mappings that these are built from have passed the door (`door.py`), so nothing is checked twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class TaskCard:
    """One data set: how its rows become a family's examples, where they are, how they are scored."""

    name: str
    family: str
    about: str
    citation: str
    languages: tuple[str, ...]
    metric: str
    max_length: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    label_values: tuple[Any, ...] = ()
    drop_labels: tuple[Any, ...] = ()
    train: tuple[str, ...] = ()
    train_languages: tuple[str, ...] = ("en",)
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dev_from_train: int | None = None
    adapter: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    benchmarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    headline_split: str | None = None
    obtain: str | None = None
    hub: Mapping[str, Any] | None = None
    local: Mapping[str, Any] | None = None
    minilab: Mapping[str, Any] | None = None
    versions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def source(self, kind: str) -> Mapping[str, Any] | None:
        """The card's section for one kind of source: `hub`, `local` or `minilab`."""
        section: Mapping[str, Any] | None = getattr(self, kind)
        return section

    @property
    def tuned(self) -> str | None:
        """Name of the tuned model that scores this target; None where the checkpoint is read directly."""
        return "+".join(self.train) or None

    def origins(self, split: str) -> tuple[str, ...]:
        """Names of the cards whose source rows make up a split (mostly just this card)."""
        return tuple(self.rows.get(split, (self.name,)))

    def splits(self, kind: str) -> tuple[str, ...]:
        """Our names of the splits that a kind of source has of this card itself.

        The mini-lab makes the splits of the real data set unless the card's `minilab` section lists others.
        """
        section = self.source(kind)
        if kind == "minilab" and not (section and "splits" in section):
            section = self.hub or self.local
        return tuple(split for split in SPLITS if split in ((section or {}).get("splits") or ()))

    def scored_splits(self, kind: str) -> tuple[str, ...]:
        """The splits that are scored when this card is a target: development and test rows of its own.

        Rows borrowed from other cards count only without an adapter; with one they are training pairs.
        """
        own = {*self.splits(kind), *(() if self.adapter else self.rows)}
        return tuple(split for split in ("dev", "test") if split in own)

    def headline(self, kind: str) -> str:
        """The split whose scores head the tables: the card's wish, or test, or dev where there is no test."""
        return self.headline_split or ("test" if "test" in self.scored_splits(kind) else "dev")
