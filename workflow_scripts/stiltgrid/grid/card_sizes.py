"""Sizes of published data sets, as cards carry them.

They are kept beside TaskCard and not in it: no job may depend on a figure that only estimates read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CardSizes:
    """Rows by split, for every language or by language; mean tokens of a row for `train` and `eval`; their source."""

    task: str
    rows: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    tokens: Mapping[str, float] = field(default_factory=dict)
    source: str = ""

    def count(self, split: str, language: str) -> int | None:
        """Rows of a split (train, dev, test) in a language; None where they are not known."""
        found = self.rows.get(split)
        return found.get(language) if isinstance(found, Mapping) else found

    def mean(self, purpose: str) -> float | None:
        """Mean tokens of a row that is trained on (`train`, development rows too) or scored (`eval`)."""
        return self.tokens.get(purpose)
