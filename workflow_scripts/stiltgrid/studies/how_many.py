"""Study 4, how many tasks: curves by group of languages, tests, plot and summary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from stiltgrid.analysis.statistics import estimate, t_quantile
from stiltgrid.analysis.tables import AnyPath, Transfer, write_tsv
from stiltgrid.analysis.typology import KINDS, similarity
from stiltgrid.grid.designs import how_many as design
from stiltgrid.grid.layout import ENGLISH, Layout
from stiltgrid.studies.curves import interaction, trend
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.how_many_plot import plot_curves
from stiltgrid.studies.how_many_results import ALL, TaskCurves
from stiltgrid.studies.mixed import Effect
from stiltgrid.studies.ranking_table import read_ranking
from stiltgrid.studies.scores import complete
from stiltgrid.studies.summary import Finding, summary_text, write_summary

CURVE_COLUMNS = (
    "model", "group", "languages", "tasks", "added_task", "best_tasks", "low", "high", "random", "random_low",
    "random_high", "orders", "seeds",
)  # fmt: skip
TEST_COLUMNS = ("model", "group", "test", "points", "low", "high", "p", "df", "detectable", "n", "remark")
QUESTION = (
    "How many intermediate tasks, best first, are enough? Tasks are ranked by their English development score between "
    "chance and best; mixtures of the first k, all of the same number of examples where the configuration sets one, "
    "are held against the first k of random orders, in languages near to English and far from it."
)


def read_model(
    scores: AnyPath, layout: Layout, section: Mapping[str, Any], model: str, ranking: Sequence[str]
) -> TaskCurves:
    """One model's scores, each language the mean over the targets that have it; StudyError where cells are missing."""
    best, random = design.best_rows(section, ranking), design.random_rows(section)
    single = design.alone_rows(section)
    alone = [single[task] for task in ranking]
    rows = dict.fromkeys([*best.values(), *alone, *(row for order in random for row in order.values())])
    part = replace(layout, models=(model,), intermediates=tuple(rows))
    transfer = complete(scores, part, "how_many")
    languages = sorted({code for column in layout.columns for code in column.languages} - {ENGLISH})
    by_row = {row: _by_language(transfer, model, row, languages) for row in rows}
    return TaskCurves(
        model,
        tuple(ranking),
        tuple(best),
        tuple(design.random_counts(section)),
        {code: np.asarray([by_row[row][code] for row in best.values()]) for code in languages},
        {code: np.asarray([[by_row[row][code] for row in order.values()] for order in random]) for code in languages},
        {code: np.asarray([by_row[row][code] for row in alone]) for code in languages},
    )


def _by_language(transfer: Transfer, model: str, row: str, languages: Sequence[str]) -> dict[str, list[float]]:
    """Language -> its score for each seed."""
    found: dict[str, list[float]] = {}
    for code in languages:
        cells = [
            cell
            for column in transfer.layout.columns
            if code in column.languages and (cell := transfer.cell(model, row, column.target))
        ]
        found[code] = [estimate(cell.values[seed][code] for cell in cells).value for seed in transfer.layout.seeds]
    return found


def write_study(scores: AnyPath, ranking: AnyPath, layout: Layout, section: Mapping[str, Any], out: Any) -> None:
    """Write curves, tests, plots and summary of the study (`out` names them); raises StudyError."""
    models = [read_model(scores, layout, section, name, tasks) for name, tasks in read_ranking(ranking).items()]
    write_tsv(CURVE_COLUMNS, [line for model in models for line in _curve_lines(model)], out.curves)
    tests = [line for model in models for line in _test_lines(model)]
    write_tsv(TEST_COLUMNS, tests, out.tests)
    plot_curves(models, layout, out.plots)
    files = {"curves": out.curves, "tests": out.tests, "ranking": str(ranking), "plot": out.plots[0]}
    findings = [item for model in models for item in _findings(model, tests)]
    limits = _limits(models, layout, section, tests)
    write_summary(summary_text("How many tasks", QUESTION, findings, limits, files, layout.synthetic), out.summary)


def random_interval(orders: np.ndarray) -> list[tuple[float, float]]:
    """Of each size of (orders, sizes, seeds): the mean over orders, half of its 95 % interval (orders the units)."""
    means = orders.mean(axis=2)
    count = len(means)
    half = t_quantile(0.95, count - 1) * means.std(axis=0, ddof=1) / np.sqrt(count)
    return list(zip(means.mean(axis=0).tolist(), half.tolist(), strict=True))


def _curve_lines(model: TaskCurves) -> list[dict[str, Any]]:
    lines = []
    for group, languages in model.groups().items():
        curve, orders = model.curve(languages), model.orders(languages)
        random = {
            size: {"random": middle, "random_low": middle - half, "random_high": middle + half}
            for size, (middle, half) in zip(model.random_sizes, random_interval(orders), strict=True)
        }
        for size, mean in zip(curve.sizes, curve.means.tolist(), strict=True):
            lines.append({
                "model": model.name, "group": group, "languages": " ".join(languages), "tasks": size,
                "added_task": model.ranking[size - 1], "best_tasks": mean, "low": mean - curve.half_width,
                "high": mean + curve.half_width, **random.get(size, {}), "orders": len(orders), "seeds": curve.seeds,
            })  # fmt: skip
    return [{name: line.get(name) for name in CURVE_COLUMNS} for line in lines]


def _test_lines(model: TaskCurves) -> list[dict[str, Any]]:
    """Trend and ranking by group, then the interactions; a test that cannot be made says why."""
    lines = []
    for group, languages in model.groups().items():
        seeds = model.best[languages[0]].shape[1]
        count = f"{len(model.sizes)} sizes, {seeds} seeds, {len(languages)} languages"
        lines.append(_line(model, group, "trend", partial(_trend, model, languages), count))
        count = f"{len(model.orders(languages))} random orders, {len(model.random_sizes)} sizes"
        lines.append(
            _line(model, group, "ranked against random", partial(model.ranked_against_random, languages), count)
        )
        count = f"{len(model.ranking)} tasks, {seeds} seeds"
        lines.append(_line(model, group, "ranked alone", partial(model.ranked_alone, languages), count))
    for kind in KINDS:
        values = {code: value for code in model.best if (value := similarity(code, kind)) is not None}
        test = partial(interaction, model.sizes, model.best, values)
        lines.append(_line(model, kind, "interaction", test, f"{len(values)} languages"))
    return lines


def _trend(model: TaskCurves, languages: Sequence[str]) -> Effect:
    return trend(model.curve(languages))


def _line(model: TaskCurves, group: str, test: str, effect_of: Callable[[], Effect], count: str) -> dict[str, Any]:
    line: dict[str, Any] = {name: None for name in TEST_COLUMNS}
    line.update({"model": model.name, "group": group, "test": test, "n": count})
    try:
        effect = effect_of()
    except StudyError as error:
        return {**line, "remark": str(error)}
    return {
        **line, "points": effect.value, "low": effect.low, "high": effect.high, "p": effect.p, "df": float(effect.df),
        "detectable": effect.detectable,
    }  # fmt: skip


def _findings(model: TaskCurves, tests: Sequence[Mapping[str, Any]]) -> list[Finding]:
    found = []
    for group, languages in model.groups().items():
        curve = model.curve(languages)
        sentence = (
            f"{model.name}, {group} ({len(languages)} languages): mixing {curve.best} scores highest; the smallest "
            f"number within noise of that ({curve.margin:.2f} points) is {curve.enough}."
        )
        gain = float(curve.means.max() - curve.means[0])
        half = t_quantile(0.95, curve.df) * curve.noise * np.sqrt(2 / curve.seeds)
        count = f"{len(curve.sizes)} sizes × {curve.seeds} seeds"
        found.append(Finding(sentence, gain, gain - half, gain + half, "points, best size less the smallest", count))
    for line in tests:
        if line["model"] == model.name and (line["group"] == ALL or line["test"] == "interaction"):
            found.append(_test_finding(line))
    return found


WORDS = {
    "trend": ("more tasks", "points a doubling of the tasks"),
    "ranked against random": ("taking the best tasks instead of random ones", "points"),
    "ranked alone": ("a better place of a task in the ranking, the task alone,", "points a place"),
    "interaction": ("being more like English", "points a doubling, for one standard deviation of similarity"),
}


def _test_finding(line: Mapping[str, Any]) -> Finding:
    words, unit = WORDS[line["test"]]
    place = f"{line['model']}, {line['test']} ({line['group']}):"
    if line["remark"]:
        return Finding(f"{place} not tested: {line['remark']}.")
    numbers = (line["points"], line["low"], line["high"], unit, line["n"])
    if line["low"] <= 0 <= line["high"]:
        reach = f"{line['detectable']:.2f} points would have been found 9 times in 10"
        return Finding(f"{place} no effect of {words} is seen; {reach}.", *numbers)
    more = "raises" if line["points"] > 0 else "lowers"
    what = "what a doubling of the tasks gives" if line["test"] == "interaction" else "scores"
    return Finding(f"{place} {words} {more} {what}.", *numbers)


def _limits(
    models: Sequence[TaskCurves], layout: Layout, section: Mapping[str, Any], tests: Sequence[Mapping[str, Any]]
) -> list[str]:
    volume = section.get("examples")
    return [
        "There is one ranking a model: what is said of the best k holds for these very tasks in this order.",
        f"All mixtures have {volume:,} examples in all, so more tasks mean fewer of each."
        if volume
        else "Mixtures of more tasks have more examples: the number of tasks and the volume cannot be told apart.",
        f"With {section.get('draws', design.DRAWS)} random orders, only a ranking much better than chance shows.",
        f"Scores are means over {', '.join(column.target for column in layout.columns)}, each language over those that "
        "have it; languages count once, related ones too, so the interaction's interval is too short if relatives "
        "behave alike.",
        "Similarity is the share of equal features, one of many ways to say it; near and far are halves of these "
        "languages. Script, shared words and amount of text go along with it and are not held constant.",
        "The ranking rests on English development scores that also stop the training.",
        f"{len(tests)} tests were made, not corrected for being several.",
    ]
