"""Study 4's summary: the answer, findings, limits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stiltgrid.analysis.statistics import t_quantile
from stiltgrid.analysis.typology import WELL_OBSERVED, observed
from stiltgrid.grid.designs import how_many as design
from stiltgrid.grid.layout import Layout
from stiltgrid.studies.effects import CONFIDENCE
from stiltgrid.studies.how_many_results import ALL, TaskCurves
from stiltgrid.studies.summary import Finding, signed, target_limit

TREND, RANDOM_TREND, SET_TREND = "trend", "trend over random orders", "trend over independent sets"
AGAINST_RANDOM, ALONE = "ranked against random", "ranked alone"
SIMILARITY, WELL = "similarity", "similarity, well observed languages"
QUESTION = (
    "How many intermediate tasks, from 1 to 10 and ranked by their English score, are enough, and does it differ for "
    "languages of low morphological similarity to English?"
)
DESIGN = (
    "Tasks are ranked by their English development score between chance and best. Mixtures of the first k, all of the "
    "same number of examples where the configuration sets one, are compared with the first k of random orders and with "
    "each task alone, in languages near to English and far from it."
)
# Test -> what it varies, what it changes, unit, what the finding is about.
WORDS: Mapping[str, tuple[str, str, str, str]] = {
    TREND: ("more tasks in this order", "scores", "points per doubling of the tasks", "These tasks, best first"),
    RANDOM_TREND: ("more tasks in any order", "scores", "points per doubling of the tasks", "Mixtures of this pool"),
    SET_TREND: ("more tasks", "scores", "points per doubling of the tasks", "Random sets of these tasks"),
    AGAINST_RANDOM: ("the best tasks instead of random ones", "scores", "points", "This ranking"),
    ALONE: ("a better place in the ranking", "the score of a task alone", "points per place", "Tasks like these"),
    SIMILARITY: (
        "similarity to English",
        "what a doubling of these tasks adds",
        "points per doubling, for one standard deviation of similarity",
        "Languages like these",
    ),
    WELL: (
        "similarity to English",
        "what a doubling of these tasks adds",
        "points per doubling, for one standard deviation of similarity",
        f"Languages with {WELL_OBSERVED:.0%} of their morphology observed",
    ),
}

Lines = Sequence[Mapping[str, Any]]


def answer(model: TaskCurves, tests: Lines) -> str:
    """The answer in one sentence: how many are enough, and what similarity in morphology changes."""
    curve = model.curve(model.groups()[ALL])
    line = next(
        item for item in tests if (item["model"], item["group"], item["test"]) == (model.name, "morphology", SIMILARITY)
    )
    if line["remark"]:
        similar = "morphological similarity could not be tested"
    elif line["low"] <= 0 <= line["high"]:
        similar = (
            f"no difference by morphological similarity is shown ({_interval(line)} points per doubling and standard "
            "deviation)"
        )
    else:
        more = "more" if line["points"] < 0 else "less"
        similar = (
            f"languages of low morphological similarity gain {more} from more tasks ({_interval(line)} points per "
        )
        similar += "doubling and standard deviation of similarity)"
    return (
        f"{model.name}: of these tasks in this order, {curve.enough} are enough (within noise, {curve.margin:.2f} "
        f"points, of the best number, {curve.best}); {similar}."
    )


def _interval(line: Mapping[str, Any]) -> str:
    return f"{signed(line['points'])}, 95 % interval {signed(line['low'])} to {signed(line['high'])},"


def findings(model: TaskCurves, tests: Lines) -> Iterator[Finding]:
    """Best sizes by group of languages with the gain over one task, then the tests."""
    for group, languages in model.groups().items():
        curve = model.curve(languages)
        sentence = (
            f"{model.name}, {group} ({len(languages)} languages): a mixture of {curve.best} scores highest; the "
            f"smallest number within noise of it ({curve.margin:.2f} points) is {curve.enough}."
        )
        gain = float(curve.means.max() - curve.means[0])
        half = t_quantile(CONFIDENCE, curve.df) * curve.noise * math.sqrt(2 / curve.seeds)
        n = f"{len(curve.sizes)} sizes × {curve.seeds} seeds"
        yield Finding(sentence, gain, gain - half, gain + half, "points, best size less the smallest", n)
    for line in tests:
        if line["model"] == model.name and (line["group"] == ALL or line["test"] in (SIMILARITY, WELL)):
            yield _test_finding(line)


def _test_finding(line: Mapping[str, Any]) -> Finding:
    what, changed, unit, units = WORDS[line["test"]]
    kind = "" if line["group"] == ALL else f", {line['group']}"
    place = f"{line['model']}{kind}. {units}:"
    if line["remark"]:
        return Finding(f"{place} not tested: {line['remark']}.")
    numbers = (line["points"], line["low"], line["high"], unit, line["n"])
    if line["low"] <= 0 <= line["high"]:
        reach = f"{line['detectable']:.2f} points would have been found 9 times in 10"
        return Finding(f"{place} no effect of {what} on {changed} is shown; {reach}.", *numbers)
    return Finding(f"{place} {what} {'raises' if line['points'] > 0 else 'lowers'} {changed}.", *numbers)


def limits(languages: Sequence[str], layout: Layout, section: Mapping[str, Any], tests: int) -> Iterator[str]:
    """What the design cannot show."""
    yield (
        "There is one ranking per model. The best k, and how many are enough, hold for these tasks in this order; the "
        "gain of the best size is that of the highest of several noisy means."
    )
    volume = section.get("examples")
    if volume:
        yield f"All mixtures have {volume:,} examples in all, so more tasks mean fewer of each."
    else:
        yield "Mixtures of more tasks have more examples: the number of tasks and the volume are confounded."
    yield (
        f"With {section.get('draws', design.DRAWS)} random orders, the ranking as a whole is compared with few others; "
        "tasks alone are the stronger test of it."
    )
    yield (
        f"Scores are means over {', '.join(column.target for column in layout.columns)}, each language over those that "
        "have it. The effect of similarity compares languages within targets."
    )
    if section.get("target_examples"):
        yield target_limit(section["target_examples"])
    unknown = [code for code in languages if not observed(code)]
    if unknown:
        yield f"Not in Grambank, so without a morphological similarity: {', '.join(unknown)}."
    yield (
        "Script, shared words and amount of text vary along with similarity and are not held constant. Near and far "
        "are divided by a fixed threshold."
    )
    yield "The ranking uses English development scores that also stop the training."
    yield f"{tests} tests were made, not corrected for being several."
