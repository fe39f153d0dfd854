"""Study 3, diversity against volume: outcomes of every row, mixed models of them, tables and a summary."""

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stiltgrid.analysis.tables import AnyPath, write_tsv
from stiltgrid.grid.designs import diversity as design
from stiltgrid.grid.layout import Layout
from stiltgrid.studies.diversity_plot import plot_outcomes
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.mixed import Effect, MixedFit, NoConvergence, fit_mixed, standardised
from stiltgrid.studies.outcomes import OUTCOMES, Outcome, known_outcomes, row_outcomes
from stiltgrid.studies.scores import complete
from stiltgrid.studies.summary import Finding, summary_text, write_summary

log = logging.getLogger(__name__)
TASKS, EXAMPLES = "log tasks", "log examples"
OUTCOME_COLUMNS = (
    "model", "intermediate", "set", "tasks", "examples_asked", "examples", "seed",
    *(outcome.name for outcome in OUTCOMES),
)  # fmt: skip
EFFECT_COLUMNS = (
    "model", "outcome", "more_is_better", "effect", "points", "low", "high", "p", "df", "points_a_doubling",
    "detectable", "between_sets_sd", "residual_sd", "rows", "sets", "remarks",
)  # fmt: skip
QUESTION = (
    "Does the number of different intermediate tasks matter more for cross-lingual robustness than the number of "
    "training examples? Random sets of d tasks were trained on v examples in all; a linear mixed model explains each "
    "outcome by standardised log d and log v, with task sets as random effects and seeds as fixed shifts."
)


def write_study(
    scores: AnyPath, records: Iterable[AnyPath], layout: Layout, section: Mapping[str, Any], out: Any
) -> None:
    """Write outcomes, effects, plots and summary of the study (`out` names them); raises StudyError."""
    transfer = complete(scores, layout, "diversity")
    drawn = examples_drawn(records)
    known = {row["intermediate"]: row for row in design.rows(section)}
    rows = [_with_design(row, known[row["intermediate"]], drawn) for row in row_outcomes(transfer)]
    fits, failures = {}, []
    for model in layout.models:
        fits[model], failed = fit_outcomes([row for row in rows if row["model"] == model])
        failures += [f"{model}, {outcome.words}: {why}." for outcome, why in failed.items()]
    write_tsv(OUTCOME_COLUMNS, rows, out.outcomes)
    lines = [
        line
        for model, by_outcome in fits.items()
        for outcome, fit in by_outcome.items()
        for line in _effect_lines(model, outcome, fit, [row for row in rows if row["model"] == model])
    ]
    write_tsv(EFFECT_COLUMNS, lines, out.effects)
    plot_outcomes(rows, known_outcomes(rows), layout, out.plots)
    findings = [item for model, found in fits.items() for item in _findings(model, found, rows)]
    files = {"effects": out.effects, "outcomes of every row": out.outcomes, "plot": out.plots[0]}
    text = summary_text(
        "Diversity against volume",
        QUESTION,
        findings,
        [*failures, *_limits(rows, layout, fits)],
        files,
        layout.synthetic,
    )
    write_summary(text, out.summary)


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
    place = (row["model"], row["intermediate"], row["seed"])
    return {
        **row,
        "set": designed["set"],
        "tasks": designed["tasks"],
        "examples_asked": designed["examples"],
        "examples": drawn[place],
    }


def fit_outcomes(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[Outcome, MixedFit], dict[Outcome, str]]:
    """A mixed model of each outcome, and of those whose fit did not converge what was said.

    `rows` have set, tasks (d), examples (v), seed and the outcomes. Raises StudyError for one seed and what
    `fit_mixed` refuses.
    """
    seeds = [row["seed"] for row in rows]
    if len(set(seeds)) < 2:
        raise StudyError(f"diversity: expected two seeds at least, found {len(set(seeds))}; add seeds")
    predictors = {
        TASKS: standardised([math.log(row["tasks"]) for row in rows], "number of tasks"),
        EXAMPLES: standardised([math.log(row["examples"]) for row in rows], "number of examples"),
    }
    sets = [row["set"] for row in rows]
    fits, failed = {}, {}
    for outcome in known_outcomes(rows):
        try:
            fits[outcome] = fit_mixed([row[outcome.name] for row in rows], predictors, sets, {"seed": seeds})
        except NoConvergence as error:
            failed[outcome] = str(error)
            log.warning("%s: %s", outcome.words, error)
    return fits, failed


def _effect_lines(
    model: str, outcome: Outcome, fit: MixedFit, rows: Sequence[Mapping[str, Any]]
) -> Iterable[dict[str, Any]]:
    doubling = {
        TASKS: math.log(2) / np.std([math.log(row["tasks"]) for row in rows]),
        EXAMPLES: math.log(2) / np.std([math.log(row["examples"]) for row in rows]),
    }
    for effect in (fit.effects[TASKS], fit.effects[EXAMPLES], fit.difference(TASKS, EXAMPLES)):
        yield {
            "model": model, "outcome": outcome.name, "more_is_better": "yes" if outcome.more_is_better else "no",
            "effect": effect.name, "points": effect.value, "low": effect.low, "high": effect.high, "p": effect.p,
            "df": effect.df,
            "points_a_doubling": float(effect.value * doubling[effect.name]) if effect.name in doubling else None,
            "detectable": effect.detectable, "between_sets_sd": fit.group_sd, "residual_sd": fit.residual_sd,
            "rows": fit.rows, "sets": fit.groups, "remarks": "; ".join(fit.remarks) or None,
        }  # fmt: skip


def _findings(model: str, fits: Mapping[Outcome, MixedFit], rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    own = [row for row in rows if row["model"] == model]
    findings = []
    for outcome, fit in fits.items():
        count = f"{fit.rows} rows ({fit.groups} task sets, {len({row['seed'] for row in own})} seeds)"
        tasks, examples, both = fit.effects[TASKS], fit.effects[EXAMPLES], fit.difference(TASKS, EXAMPLES)
        unit = "points for one standard deviation of the logarithm"
        findings += [
            Finding(_sentence(model, outcome, "more different tasks", tasks), *_numbers(tasks), unit, count),
            Finding(_sentence(model, outcome, "more examples", examples), *_numbers(examples), unit, count),
            Finding(_comparison(model, outcome, both), *_numbers(both), "points, tasks less examples", count),
        ]
    return findings


def _numbers(effect: Effect) -> tuple[float, float, float]:
    return effect.value, effect.low, effect.high


def _sentence(model: str, outcome: Outcome, what: str, effect: Effect) -> str:
    place = f"{model}, {outcome.words}:"
    if effect.low <= 0 <= effect.high:
        reach = f"an effect of {effect.detectable:.2f} points would have been found 9 times in 10"
        return f"{place} no effect of {what} is seen; {reach}."
    direction = "raise" if effect.value > 0 else "lower"
    good = (effect.value > 0) == outcome.more_is_better
    return f"{place} {what} {direction} it, which is {'better' if good else 'worse'}."


def _comparison(model: str, outcome: Outcome, both: Effect) -> str:
    place = f"{model}, {outcome.words}:"
    if both.low <= 0 <= both.high:
        return f"{place} whether tasks or examples do more cannot be told apart."
    first = (both.value > 0) == outcome.more_is_better
    return f"{place} {'more tasks do' if first else 'more examples do'} more good, or less harm."


def _limits(
    rows: Sequence[Mapping[str, Any]], layout: Layout, fits: Mapping[str, Mapping[Outcome, MixedFit]]
) -> list[str]:
    short = {row["intermediate"] for row in rows if row["examples"] < row["examples_asked"]}
    remarks = {
        f"{model}, {outcome.words}: {remark}."
        for model, found in fits.items()
        for outcome, fit in found.items()
        for remark in fit.remarks
    }
    limits = [
        "The comparison is of standardised logarithms: it depends on the ranges of d and v that were tried, and says "
        "nothing outside them.",
        "Sets of many tasks out of one pool share most of their tasks, so they differ less from one another than small "
        "sets do; the model has one variance for both. What holds for these tasks need not hold for others.",
        f"Outcomes are means over {', '.join(column.target for column in layout.columns)}: no single target is judged.",
        "The four outcomes come from the same scores, and their tests are not corrected for being several.",
        "Early stopping may keep a checkpoint that has not seen all examples of its row.",
    ]
    if short:
        limits.append(f"{len(short)} rows had fewer examples than asked for; the model was given what they had.")
    return limits + sorted(remarks)
