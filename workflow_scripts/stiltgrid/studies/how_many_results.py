"""The scores of study 4 by language, read by its tests and its plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stiltgrid.analysis.typology import KINDS, similarity_groups
from stiltgrid.studies.curves import Curve, against_random, fit_curve, order_trend, places, set_trend, trend
from stiltgrid.studies.effects import Effect

ALL = "all"


@dataclass(frozen=True)
class TaskCurves:
    """One model's scores, by language.

    `best` are scores (sizes, seeds) of the best tasks, `random` (orders, sizes, seeds), `alone` (tasks, seeds) of each
    task alone in the ranking's order; each language is the mean over the targets that have it. `cells` are `best` by
    (target, language). `sets` are scores (sets, seeds) of the independent random sets, whose sizes are `set_sizes`.
    """

    name: str
    ranking: tuple[str, ...]
    sizes: tuple[int, ...]
    random_sizes: tuple[int, ...]
    best: Mapping[str, np.ndarray]
    random: Mapping[str, np.ndarray]
    alone: Mapping[str, np.ndarray]
    cells: Mapping[tuple[str, str], np.ndarray]
    set_sizes: tuple[int, ...] = ()
    sets: Mapping[str, np.ndarray] = field(default_factory=dict)

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Groups of languages: all, then near and far from English by each kind of similarity."""
        found = {ALL: tuple(sorted(self.best))}
        for kind in KINDS:
            sides = similarity_groups(self.best, kind)
            for side in sorted(set(sides.values()), reverse=True):
                found[f"{kind}: {side}"] = tuple(sorted(code for code in sides if sides[code] == side))
        return found

    def curve(self, languages: Sequence[str]) -> Curve:
        """The curve of the best tasks in some languages."""
        return fit_curve(self.sizes, np.mean([self.best[code] for code in languages], axis=0))

    def orders(self, languages: Sequence[str]) -> np.ndarray:
        """(orders, sizes, seeds) of the random orders in some languages."""
        return np.mean([self.random[code] for code in languages], axis=0)

    def trend(self, languages: Sequence[str]) -> Effect:
        """Points per doubling of the best tasks, against the noise of training: these tasks in this order."""
        return trend(self.curve(languages))

    def random_trend(self, languages: Sequence[str]) -> Effect:
        """Points per doubling of randomly ordered tasks, orders as units: mixtures of tasks from this pool."""
        return order_trend(self.random_sizes, self.orders(languages))

    def set_trend(self, languages: Sequence[str]) -> Effect:
        """Points per doubling of the tasks over independent sets, sets as units."""
        return set_trend(self.set_sizes, np.mean([self.sets[code] for code in languages], axis=0))

    def ranked_against_random(self, languages: Sequence[str]) -> Effect:
        """The ranking less random orders, at the sizes that both have."""
        both = [self.sizes.index(size) for size in self.random_sizes]
        chosen = np.mean([self.best[code] for code in languages], axis=0)[both]
        return against_random(chosen, self.orders(languages))

    def ranked_alone(self, languages: Sequence[str]) -> Effect:
        """Points per place in the ranking, of tasks trained alone."""
        return places(np.mean([self.alone[code] for code in languages], axis=0))
