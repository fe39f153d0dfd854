"""Task cards, and the view of a card that each stage reads.

The mappings that cards are built from have passed the checks of `config`, so nothing is checked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from stiltgrid.grid.params import as_params, from_params

SPLITS = ("train", "dev", "test")
# Options that only decoding and measuring read. They are left out of the views of `prepare` and `encode`, so that
# changing one does not prepare or encode the rows again.
SCORING_OPTIONS = frozenset({
    "chunks", "max_answer_length", "mining", "n_best", "neighbours", "normalisation", "null_threshold", "positive",
})  # fmt: skip
# Fields of a card by the stage that reads them.
READS: Mapping[str, tuple[str, ...]] = {
    "prepare": (
        "family", "fields", "labels", "label_values", "drop_labels", "relabel", "rows", "adapter", "options",
        "dev_from_train",
    ),
    "encode": ("family", "labels", "options"),
    "train": ("family", "labels", "options", "metric"),
    "score": ("family", "labels", "options", "metric", "headline_split", "languages"),
}  # fmt: skip
EMPTY: Mapping[str, Any] = {"about": "", "citation": "", "languages": (), "metric": "", "max_length": 0}


@dataclass(frozen=True)
class TaskCard:
    """One task: how its rows become examples of its family, where the rows are, and how it is scored."""

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
    relabel: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None

    def section(self, kind: str) -> str:
        """The key that says where the rows are for a kind of source (`hub`, `local` or `minilab`).

        With `hub`, a card that is not on the hub is read from the user's own folder, as its `local` section says.
        """
        return "local" if kind == "hub" and self.hub is None else kind

    def source(self, kind: str) -> Mapping[str, Any] | None:
        """The card's section for a kind of source; None where it has none."""
        section: Mapping[str, Any] | None = getattr(self, self.section(kind))
        return section

    @property
    def tuned(self) -> str | None:
        """Name of the tuned model that scores this target; None where the intermediate checkpoint is scored."""
        return "+".join(self.train) or None

    def origins(self, split: str) -> tuple[str, ...]:
        """Names of the cards whose source rows make up a split; usually this card alone."""
        return tuple(self.rows.get(split, (self.name,)))

    def splits(self, kind: str) -> tuple[str, ...]:
        """The splits (out of SPLITS) that this card's own rows have under a kind of source.

        The mini-lab has the splits of the real data set unless the card's `minilab` section lists others.
        """
        section = self.source(kind)
        if kind == "minilab" and not (section and "splits" in section):
            section = self.hub or self.local
        return tuple(split for split in SPLITS if split in ((section or {}).get("splits") or ()))

    def scored_splits(self, kind: str) -> tuple[str, ...]:
        """The splits (dev and test) that are scored when this card is a target.

        Rows borrowed from other cards count only without an adapter; with an adapter they are training pairs.
        """
        own = {*self.splits(kind), *(() if self.adapter else self.rows)}
        return tuple(split for split in ("dev", "test") if split in own)

    def headline(self, kind: str) -> str:
        """The split of the headline score: the card's `headline_split`, otherwise test if there is one, else dev."""
        return self.headline_split or ("test" if "test" in self.scored_splits(kind) else "dev")


def card_view(card: TaskCard, stage: str, source: str | None = None) -> dict[str, Any]:
    """What one stage reads of a card, and the card's section for `source`, as plain containers.

    `stage` is a key of READS. Whatever is not in the view cannot rerun the stage's jobs. Fields at their default are
    left out, so a field added to TaskCard reruns only the jobs that use it.
    """
    defaults = TaskCard("", "", "", "", (), "", 0)
    known = {item.name for item in fields(TaskCard)}
    names = [name for name in (*READS[stage], *([card.section(source)] if source else [])) if name in known]
    view = {name: getattr(card, name) for name in names if getattr(card, name) != getattr(defaults, name)}
    if stage in ("prepare", "encode") and "options" in view:
        view["options"] = {key: value for key, value in view["options"].items() if key not in SCORING_OPTIONS}
    plain: dict[str, Any] = as_params({**EMPTY, "name": card.name, **view})
    return plain


def card_from_view(view: Mapping[str, Any]) -> TaskCard:
    """A card with the fields of a view; all other fields are empty."""
    card: TaskCard = from_params(TaskCard, view)
    return card
