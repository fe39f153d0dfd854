"""Whether more tasks give more to languages that are similar to English: slopes by target and language. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np

from stiltgrid.studies.curves import log2_slopes
from stiltgrid.studies.effects import Effect, slope_effect
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.mixed import fit_mixed

NAME = "similarity × log2 tasks"
LEAST_LANGUAGES = 4
LEAST_RELATIVES = 5  # languages more than families, for a variance within families; else families are the units


def similarity_effect(
    sizes: Sequence[int],
    curves: Mapping[tuple[str, str], np.ndarray],
    similarity: Mapping[str, float],
    families: Mapping[str, str],
) -> Effect:
    """Points per doubling of the tasks more, for one standard deviation of similarity to English.

    `curves` maps (target, language) to scores (sizes, seeds). Languages differ in the targets that they have, so
    slopes and similarities are centred within each target before they are averaged by language. Languages are the
    units, and language families are random effects, because relatives behave alike. Raises StudyError for fewer than
    four languages, or where all are equally similar.
    """
    names = sorted({language for _, language in curves if language in similarity})
    if len(names) < LEAST_LANGUAGES:
        raise StudyError(f"similarity: expected four languages with observed features at least, found {len(names)}")
    spread = float(np.std([similarity[name] for name in names]))
    if spread == 0:
        raise StudyError(f"similarity: all {len(names)} languages are equally similar to English")
    slopes: dict[str, list[float]] = {name: [] for name in names}
    places: dict[str, list[float]] = {name: [] for name in names}
    for target in dict.fromkeys(target for target, _ in curves):
        mine = [name for name in names if (target, name) in curves]
        if len(mine) < 2:
            continue
        found = log2_slopes(sizes, np.asarray([curves[target, name] for name in mine]))
        like = np.asarray([similarity[name] for name in mine])
        for name, slope, place in zip(mine, found - found.mean(), (like - like.mean()) / spread, strict=True):
            slopes[name].append(float(slope))
            places[name].append(float(place))
    kept = [name for name in names if slopes[name]]
    x = np.asarray([np.mean(places[name]) for name in kept])
    y = [float(np.mean(slopes[name])) for name in kept]
    groups = [families.get(name, name) for name in kept]
    if len(set(groups)) == len(groups):
        return slope_effect(NAME, x.tolist(), y)
    if len(groups) - len(set(groups)) < LEAST_RELATIVES:
        means = [[np.mean([each[n] for n, name in enumerate(groups) if name == group]) for each in (x, y)]
                 for group in sorted(set(groups))]  # fmt: skip
        return slope_effect(NAME, [float(place) for place, _ in means], [float(slope) for _, slope in means])
    return fit_mixed(y, {NAME: x}, groups).effects[NAME]
