"""Study 3, diversity against volume: outcomes of every row, effects of tasks and examples, tables and a summary."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.analysis.tables import AnyPath, write_tsv
from stiltgrid.grid.designs import diversity as design
from stiltgrid.grid.layout import Layout
from stiltgrid.grid.target_caps import uncapped
from stiltgrid.studies.diversity_effects import DiversityEffects, fit_effects
from stiltgrid.studies.diversity_plot import plot_outcomes
from stiltgrid.studies.effects import Effect
from stiltgrid.studies.outcomes import Outcome, known_outcomes, row_outcomes
from stiltgrid.studies.scores import complete
from stiltgrid.studies.summary import Finding, Summary, signed, target_limit, write_summary

OUTCOME_COLUMNS = (
    "model", "intermediate", "set", "tasks", "examples_asked", "examples", "seed", "zero_shot", "worst", "spread",
    "gap",
)  # fmt: skip
EFFECT_COLUMNS = (
    "model", "outcome", "more_is_better", "effect", "points", "low", "high", "p", "df", "points_a_doubling",
    "detectable", "rows", "sets",
)  # fmt: skip
QUESTION = (
    "Does the number of different intermediate tasks matter more for cross-lingual robustness than the number of "
    "training examples?"
)
DESIGN = (
    "Random sets of d tasks, each trained on v examples in all. The effect of d is a regression of the sets' mean "
    "outcomes on log d; the effect of v is the mean of the sets' own slopes on log v. Sets are the units of both. "
    "Effects are for one standard deviation of the logarithm."
)
UNIT = "points for one standard deviation of the logarithm"

Effects = Mapping[Outcome, DiversityEffects]


def write_study(
    scores: AnyPath, records: Iterable[AnyPath], layout: Layout, section: Mapping[str, Any], out: Any
) -> None:
    """Write outcomes, effects, plots and summary of the study (`out` names them); raises StudyError."""
    transfer = complete(scores, layout, "diversity")
    drawn = examples_drawn(records)
    known = {row["intermediate"]: row for row in design.rows(section)}
    rows = [_with_design(row, known[row["intermediate"]], drawn) for row in row_outcomes(transfer)]
    effects: dict[str, Effects] = {}
    for model in layout.models:
        own = [row for row in rows if row["model"] == model]
        effects[model] = {outcome: fit_effects(own, outcome.name) for outcome in known_outcomes(own)}
    write_tsv(OUTCOME_COLUMNS, rows, out.outcomes, synthetic=layout.synthetic)
    write_tsv(
        EFFECT_COLUMNS,
        (line for model in effects for line in _lines(model, effects[model])),
        out.effects,
        synthetic=layout.synthetic,
    )
    plot_outcomes(rows, known_outcomes(rows), layout, out.plots)
    summary = Summary(
        "Diversity against volume",
        QUESTION,
        DESIGN,
        tuple(answer(model, found) for model, found in effects.items()),
        tuple(item for model, found in effects.items() for item in _findings(model, found, rows)),
        tuple(_limits(rows, layout, section)),
        {"effects": out.effects, "outcomes of every row": out.outcomes, "plot": out.plots[0]},
        layout.synthetic,
    )
    write_summary(summary, out.summary)


def examples_drawn(records: Iterable[AnyPath]) -> dict[tuple[str, str, int], int]:
    """(model, row, seed) -> examples that the row was trained on, from its `training.json`."""
    found = {}
    for path in records:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        place = (record["model"]["name"], record["intermediate"], int(record["seed"]))
        found[place] = sum(task["examples"] for stage in record["stages"] for task in stage["tasks"])
    return found


def _with_design(
    row: Mapping[str, Any], designed: Mapping[str, Any], drawn: Mapping[tuple[str, str, int], int]
) -> dict[str, Any]:
    return {
        **row,
        "set": designed["set"],
        "tasks": designed["tasks"],
        "examples_asked": designed["examples"],
        "examples": drawn[row["model"], uncapped(row["intermediate"]), row["seed"]],
    }


def _lines(model: str, effects: Effects) -> Iterator[dict[str, Any]]:
    for outcome, found in effects.items():
        for effect in (found.tasks, found.examples, found.difference):
            doubling = found.doublings.get(effect.name)
            yield {
                "model": model, "outcome": outcome.name, "more_is_better": "yes" if outcome.more_is_better else "no",
                "effect": effect.name, "points": effect.value, "low": effect.low, "high": effect.high,
                "p": f"{effect.p:.3g}", "df": effect.df,
                "points_a_doubling": None if doubling is None else effect.value * doubling,
                "detectable": effect.detectable, "rows": found.rows, "sets": found.sets,
            }  # fmt: skip


def answer(model: str, effects: Effects) -> str:
    """The answer in one sentence, by the zero-shot mean."""
    found = next(found for outcome, found in effects.items() if outcome.name == "zero_shot")
    both = found.difference
    if not both.clear:
        return (
            f"{model}: with these tasks, it is not shown that either matters more for the zero-shot mean (tasks less "
            f"examples {signed(both.value)} points, 95 % interval {signed(both.low)} to {signed(both.high)}; a "
            f"difference of {both.detectable:.2f} would have been found 9 times in 10)."
        )
    more, less = ("tasks", "examples") if both.value > 0 else ("examples", "tasks")
    return (
        f"{model}: with these tasks, the number of {more} matters more for the zero-shot mean than the number of "
        f"{less} (tasks less examples {signed(both.value)} points, 95 % interval {signed(both.low)} to "
        f"{signed(both.high)})."
    )


def _findings(model: str, effects: Effects, rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    seeds = len({row["seed"] for row in rows})
    for outcome, found in effects.items():
        place = f"{model}, {outcome.words}:"
        n = f"{found.sets} task sets ({found.rows} rows, {seeds} seeds)"
        for what, effect in (("more different tasks", found.tasks), ("more examples", found.examples)):
            yield Finding(_sentence(place, outcome, what, effect), effect.value, effect.low, effect.high, UNIT, n)
        both = found.difference
        yield Finding(
            _comparison(place, outcome, both), both.value, both.low, both.high, "points, tasks less examples", n
        )


def _sentence(place: str, outcome: Outcome, what: str, effect: Effect) -> str:
    if not effect.clear:
        reach = f"an effect of {effect.detectable:.2f} points would have been found 9 times in 10"
        return f"{place} no effect of {what} is shown; {reach}."
    direction = "raise" if effect.value > 0 else "lower"
    good = (effect.value > 0) == outcome.more_is_better
    return f"{place} {what} {direction} it, which is {'better' if good else 'worse'}."


def _comparison(place: str, outcome: Outcome, both: Effect) -> str:
    if not both.clear:
        reach = f"a difference of {both.detectable:.2f} points would have been found 9 times in 10"
        return f"{place} it is not shown whether tasks or examples do more; {reach}."
    first = (both.value > 0) == outcome.more_is_better
    return f"{place} {'more tasks' if first else 'more examples'} do more good, or less harm."


def _limits(rows: Sequence[Mapping[str, Any]], layout: Layout, section: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "Sets are drawn from one pool and share tasks, so all findings are about these tasks: other tasks may respond "
        "to more examples, or combine, in another way."
    )
    yield (
        "The comparison is of standardised logarithms: it depends on the ranges of d and v that were tried, and holds "
        "only within them."
    )
    yield (
        f"Outcomes are means over {', '.join(column.target for column in layout.columns)}: no single target is judged."
    )
    yield "The outcomes come from the same scores, and their tests are not corrected for being several."
    if section.get("target_examples"):
        yield target_limit(section["target_examples"])
    yield "Early stopping may keep a checkpoint that has not seen all examples of its row."
    short = {row["intermediate"] for row in rows if row["examples"] < row["examples_asked"]}
    if short:
        yield f"{len(short)} rows had fewer examples than asked for; their actual numbers were used."
