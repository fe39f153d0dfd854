"""Study 3's estimates: the effect of the number of tasks between task sets, of the volume within each set. Pure.

Every set of tasks is trained at every volume. The number of tasks differs between sets only, so its effect is a
regression of the sets' means on log d. Volume differs within sets, and tasks respond differently to more examples, so
its effect is the mean of the sets' own slopes on log v. Sets are the units of both: the scatter between sets, not that
between seeds, decides whether an effect is clear.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stiltgrid.studies.effects import Effect, difference, mean_effect, slope_effect
from stiltgrid.studies.errors import StudyError, refuse_few

TASKS, EXAMPLES = "log tasks", "log examples"


@dataclass(frozen=True)
class DiversityEffects:
    """Effects in points for one standard deviation of the logarithm; `doublings` convert them to a doubling's."""

    tasks: Effect
    examples: Effect
    doublings: Mapping[str, float]
    sets: int
    rows: int

    @property
    def difference(self) -> Effect:
        """The effect of tasks less that of examples; the two are uncorrelated, log d being centred over the sets."""
        return difference(self.tasks, self.examples)


def fit_effects(rows: Sequence[Mapping[str, Any]], outcome: str) -> DiversityEffects:
    """Both effects on an outcome; `rows` have `set`, `tasks` (d), `examples` (v), `seed` and the outcome.

    Raises StudyError for one seed or volume, fewer than four sets, sets of one size and outcomes that never differ.
    """
    refuse_few("diversity", len({row["seed"] for row in rows}), 2, "seeds", "one shows no variance of training")
    values = np.asarray([row[outcome] for row in rows], dtype=np.float64)
    if np.ptp(values) == 0:
        raise StudyError(f"diversity: the outcome is {values[0]:g} in all {len(rows)} rows, so nothing explains it")
    log_d, log_v = (np.log([float(row[name]) for row in rows]) for name in ("tasks", "examples"))
    spread_d, spread_v = float(log_d.std()), float(log_v.std())
    if spread_d == 0 or spread_v == 0:
        raise StudyError("diversity: expected two numbers of tasks and two volumes at least, found one")
    sets = sorted({row["set"] for row in rows})
    names = np.asarray([row["set"] for row in rows])
    slopes, sizes, levels = [], [], []
    for name in sets:
        mine = names == name
        v = log_v[mine] - log_v[mine].mean()
        if np.ptp(v) == 0:
            raise StudyError(f"diversity: task set {name} has one volume only, so its response to volume is unknown")
        slopes.append(float(v @ values[mine]) / float(v @ v))
        sizes.append(float(log_d[mine][0]))
        # Sets that had fewer examples than asked for are compared at the mean volume.
        levels.append(float(values[mine].mean()) - slopes[-1] * float(log_v[mine].mean() - log_v.mean()))
    tasks = slope_effect(TASKS, [size / spread_d for size in sizes], levels)
    examples = mean_effect(EXAMPLES, [slope * spread_v for slope in slopes])
    return DiversityEffects(
        tasks, examples, {TASKS: math.log(2) / spread_d, EXAMPLES: math.log(2) / spread_v}, len(sets), len(rows)
    )
