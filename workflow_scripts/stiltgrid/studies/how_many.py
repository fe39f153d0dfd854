"""Study 4, how many tasks: curves by group of languages, tests, plot and summary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from stiltgrid.analysis.language_groups import group_of
from stiltgrid.analysis.statistics import estimate, t_quantile
from stiltgrid.analysis.tables import AnyPath, Transfer, write_tsv
from stiltgrid.analysis.typology import (
    KINDS,
    MORPHOLOGY,
    WELL_OBSERVED,
    fusion,
    observed,
    similarity,
    similarity_groups,
)
from stiltgrid.data.sources.minilab.languages import LANGUAGES
from stiltgrid.grid.designs import how_many as design
from stiltgrid.grid.layout import ENGLISH, Layout
from stiltgrid.studies.effects import Effect
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.how_many_plot import plot_curves
from stiltgrid.studies.how_many_results import TaskCurves
from stiltgrid.studies.how_many_text import (
    AGAINST_RANDOM,
    ALONE,
    DESIGN,
    QUESTION,
    RANDOM_TREND,
    SET_TREND,
    SIMILARITY,
    TREND,
    WELL,
    answer,
    findings,
    limits,
)
from stiltgrid.studies.language_slopes import similarity_effect
from stiltgrid.studies.ranking_table import read_ranking
from stiltgrid.studies.scores import complete
from stiltgrid.studies.summary import Summary, write_summary

CURVE_COLUMNS = (
    "model", "group", "languages", "tasks", "added_task", "best_tasks", "low", "high", "random", "random_low",
    "random_high", "orders", "seeds",
)  # fmt: skip
LANGUAGE_COLUMNS = (
    "language", "family", "observed", "fusion", *(name for kind in KINDS for name in (kind, f"{kind}_group")),
)  # fmt: skip
TEST_COLUMNS = ("model", "group", "test", "points", "low", "high", "p", "df", "detectable", "n", "remark")


def read_curves(
    scores: AnyPath, layout: Layout, section: Mapping[str, Any], model: str, ranking: Sequence[str]
) -> TaskCurves:
    """One model's scores; StudyError where cells are missing."""
    best, random = design.best_rows(section, ranking), design.random_rows(section)
    single, sets = design.alone_rows(section), design.set_rows(section)
    alone = [single[task] for task in ranking]
    drawn = [*(row for order in random for row in order.values()), *(row for some in sets.values() for row in some)]
    rows = dict.fromkeys([*best.values(), *alone, *drawn])
    transfer = complete(scores, replace(layout, models=(model,), intermediates=tuple(rows)), "how_many")
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
        _cells(transfer, model, list(best.values())),
        tuple(size for size, some in sets.items() for _ in some),
        {code: np.asarray([by_row[row][code] for some in sets.values() for row in some]) for code in languages},
    )


def _by_language(transfer: Transfer, model: str, row: str, languages: Sequence[str]) -> dict[str, list[float]]:
    """Language -> its score for each seed, the mean over the targets that have it."""
    found: dict[str, list[float]] = {}
    for code in languages:
        cells = [
            cell
            for column in transfer.layout.columns
            if code in column.languages and (cell := transfer.cell(model, row, column.target))
        ]
        found[code] = [estimate(cell.values[seed][code] for cell in cells).value for seed in transfer.layout.seeds]
    return found


def _cells(transfer: Transfer, model: str, rows: Sequence[str]) -> dict[tuple[str, str], np.ndarray]:
    """(target, language) -> scores (rows, seeds)."""
    layout = transfer.layout
    return {
        (column.target, code): np.asarray([
            [transfer.cells[model, row, column.target].values[seed][code] for seed in layout.seeds] for row in rows
        ])
        for column in layout.columns
        for code in column.others
    }  # fmt: skip


def write_study(scores: AnyPath, ranking: AnyPath, layout: Layout, section: Mapping[str, Any], out: Any) -> None:
    """Write curves, tests, languages, plots and summary of the study (`out` names them); raises StudyError."""
    models = [read_curves(scores, layout, section, name, tasks) for name, tasks in read_ranking(ranking).items()]
    write_tsv(
        CURVE_COLUMNS,
        [line for model in models for line in _curve_lines(model)],
        out.curves,
        synthetic=layout.synthetic,
    )
    tests = [line for model in models for line in test_lines(model)]
    write_tsv(TEST_COLUMNS, tests, out.tests, synthetic=layout.synthetic)
    languages = sorted({code for model in models for code in model.best})
    write_tsv(LANGUAGE_COLUMNS, (_language_line(code) for code in languages), out.languages, synthetic=layout.synthetic)
    plot_curves(models, layout, out.plots)
    summary = Summary(
        "How many tasks",
        QUESTION,
        DESIGN,
        tuple(answer(model, tests) for model in models),
        tuple(item for model in models for item in findings(model, tests)),
        tuple(limits(languages, layout, section, len(tests))),
        {"curves": out.curves, "tests": out.tests, "languages": out.languages, "ranking": str(ranking),
         "plot": out.plots[0]},
        layout.synthetic,
    )  # fmt: skip
    write_summary(summary, out.summary)


def _language_line(code: str) -> dict[str, Any]:
    """Similarity of a language to English, and how much of its morphology is observed."""
    line: dict[str, Any] = {
        "language": code,
        "family": family(code),
        "observed": observed(code),
        "fusion": fusion(code),
    }
    for kind in KINDS:
        line |= {kind: similarity(code, kind), f"{kind}_group": similarity_groups([code], kind).get(code)}
    return line


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


def test_lines(model: TaskCurves) -> list[dict[str, Any]]:
    """Trends and ranking by group of languages, then similarity to English; a test that is impossible says why."""
    lines = []
    for group, languages in model.groups().items():
        seeds = model.best[languages[0]].shape[1]
        orders = len(model.orders(languages))
        for test, effect_of, n in (
            (TREND, model.trend, f"{len(model.sizes)} sizes, {seeds} seeds, {len(languages)} languages"),
            (RANDOM_TREND, model.random_trend, f"{orders} random orders, {len(model.random_sizes)} sizes"),
            *([(SET_TREND, model.set_trend, f"{len(model.set_sizes)} sets")] if model.set_sizes else []),
            (AGAINST_RANDOM, model.ranked_against_random, f"{orders} random orders, {len(model.random_sizes)} sizes"),
            (ALONE, model.ranked_alone, f"{len(model.ranking)} tasks, {seeds} seeds"),
        ):
            lines.append(_line(model, group, test, partial(effect_of, languages), n))
    for kind in KINDS:
        known = {code: value for code in model.best if (value := similarity(code, kind)) is not None}
        lines.append(_similarity_line(model, kind, SIMILARITY, known))
        if kind == MORPHOLOGY:
            well = {code: value for code, value in known.items() if observed(code) >= WELL_OBSERVED}
            if well.keys() != known.keys():
                lines.append(_similarity_line(model, kind, WELL, well))
    return lines


def _similarity_line(model: TaskCurves, kind: str, test: str, values: Mapping[str, float]) -> dict[str, Any]:
    families = {code: family(code) for code in values}
    n = f"{len(values)} languages of {len(set(families.values()))} families"
    effect_of = partial(similarity_effect, model.sizes, model.cells, values, families)
    return _line(model, kind, test, effect_of, n)


def family(code: str) -> str:
    """The language family; languages of the mini-lab are unrelated, each a family by itself."""
    return code if code in LANGUAGES else group_of(code, "family")


def _line(model: TaskCurves, group: str, test: str, effect_of: Callable[[], Effect], n: str) -> dict[str, Any]:
    line: dict[str, Any] = {name: None for name in TEST_COLUMNS}
    line.update({"model": model.name, "group": group, "test": test, "n": n})
    try:
        effect = effect_of()
    except StudyError as error:
        return {**line, "remark": str(error)}
    return {
        **line, "points": effect.value, "low": effect.low, "high": effect.high, "p": effect.p, "df": float(effect.df),
        "detectable": effect.detectable,
    }  # fmt: skip
