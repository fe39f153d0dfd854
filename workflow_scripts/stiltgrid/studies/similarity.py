"""Study 1, similarity: task vectors against gains, the ranking they give, and which row to try first."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stiltgrid.analysis.tables import AnyPath, write_tsv
from stiltgrid.grid.layout import Layout
from stiltgrid.studies import ranking
from stiltgrid.studies.association import (
    PERMUTATIONS,
    PooledAssociation,
    Slope,
    by_target,
    design,
    draw_orders,
    max_t,
    pooled,
    residual,
)
from stiltgrid.studies.scores import complete
from stiltgrid.studies.similarity_plot import Panel, plot_similarity
from stiltgrid.studies.similarity_results import SimilarityResults
from stiltgrid.studies.similarity_tables import Table, columns_of, common_targets, informative, read_table
from stiltgrid.studies.similarity_text import LEFT_OUT, summary
from stiltgrid.studies.summary import digits, write_summary

STRATEGY_PERMUTATIONS = 999
PAIR_COLUMNS = ("model", "intermediate", "target", "measure", "similarity", "gain", "score", "examples", "same_family")
ASSOCIATION_COLUMNS = (
    "model", "measure", "target", "rho", "rho_p", "rho_p_holm", "slope", "low", "high", "p", "p_max_t", "within_rows",
    "within_rows_low", "within_rows_high", "within_rows_p", "within_rows_p_max_t", "rows", "targets", "controls",
    "remark",
)  # fmt: skip
STRATEGY_COLUMNS = (
    "model", "strategy", "targets", "lost1", "regret1", "regret3", "ndcg", "p_lost1", "p_lost1_max_t", "p_regret3",
    "p_ndcg",
)  # fmt: skip
CHOICE_COLUMNS = (
    "model",
    "target",
    "strategy",
    "first",
    "score",
    "best",
    "best_score",
    "lost1",
    "regret1",
    "regret3",
    "ndcg",
)


def write_study(
    scores: AnyPath,
    records: Iterable[AnyPath],
    layout: Layout,
    vectors: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]],
    families: Mapping[str, str],
    section: Mapping[str, Any],
    out: Any,
) -> None:
    """Write pairs, associations, strategies, first choices, plot and summary (`out` names them).

    `vectors[model][measure]` maps `rows` and `targets` to files by name, `families` every row's and target's name to
    its family. Raises StudyError for what no statistic can answer.
    """
    transfer = complete(scores, layout, "similarity")
    sizes = trained_sizes(records)
    permutations = int(section.get("permutations") or PERMUTATIONS)
    pairs: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    found: list[SimilarityResults] = []
    every: dict[str, dict[str, Table]] = {}
    for model in layout.models:
        tables = {
            measure: read_table(transfer, model, measure, files, sizes, families)
            for measure, files in vectors[model].items()
        }
        every[model] = tables
        pairs += [line for measure, table in tables.items() for line in _pair_lines(model, measure, table, sizes)]
        results, rows = study_model(model, tables, permutations)
        found.append(results)
        lines += rows
    write_tsv(PAIR_COLUMNS, pairs, out.pairs, synthetic=layout.synthetic)
    write_tsv(ASSOCIATION_COLUMNS, lines, out.associations, synthetic=layout.synthetic)
    write_tsv(
        STRATEGY_COLUMNS,
        (_verdict_line(item, one) for item in found for one in item.verdicts),
        out.ranking,
        synthetic=layout.synthetic,
    )
    write_tsv(
        CHOICE_COLUMNS,
        (_choice_line(item.model, one) for item in found for one in item.choices),
        out.choices,
        synthetic=layout.synthetic,
    )
    plot_similarity(
        [
            panel(item.model, measure, every[item.model][measure], item.associations[measure])
            for item in found
            for measure in item.associations
        ],
        layout,
        out.plots,
    )
    files = {"pairs": out.pairs, "associations": out.associations, "rankings": out.ranking,
             "first choices": out.choices, "plot": out.plots[0]}  # fmt: skip
    write_summary(summary(found, layout, files), out.summary)


def panel(model: str, measure: str, whole: Table, found: PooledAssociation) -> Panel:
    """The partial residuals of a measure: gains and measure with the controls removed."""
    table, _ = informative(whole)
    x, y, z = design(table.gains, table.measure, [table.controls[name] for name in found.controls])
    return Panel(model, measure, table.rows, residual(x, z), residual(y, z), found)


def trained_sizes(records: Iterable[AnyPath]) -> dict[tuple[str, str], int]:
    """(model, row) -> examples that the row was trained on, from its `training.json` (the first seed's)."""
    found: dict[tuple[str, str], int] = {}
    for path in records:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        place = (record["model"]["name"], record["intermediate"])
        found.setdefault(place, sum(task["examples"] for stage in record["stages"] for task in stage["tasks"]))
    return found


def study_model(
    model: str, tables: Mapping[str, Table], permutations: int
) -> tuple[SimilarityResults, list[dict[str, Any]]]:
    """Associations and rankings of one model, and the lines of the table of associations.

    All tests share one set of permutations of the rows.
    """
    associations, remarks = {}, []
    lines: list[dict[str, Any]] = []
    count = len(next(iter(tables.values())).rows)
    order = draw_orders(count, permutations, np.random.default_rng(_seed(model)))
    for measure, whole in tables.items():
        table, left_out = informative(whole)
        remarks += [f"{model}, {measure}: {remark}" for remark in left_out]
        for item in by_target(table.gains, table.measure, table.rows, table.targets, order):
            lines.append({"model": model, "measure": measure, "target": item.target, "rho": item.rho,
                          "rho_p": digits(item.p), "rho_p_holm": digits(item.p_holm), "rows": item.rows,
                          "targets": 1})  # fmt: skip
        found = pooled(table.gains, table.measure, table.controls, table.rows, table.targets, order)
        associations[measure] = found
        lines.append({"model": model, "measure": measure, "target": "all", "rho": found.rho,
                      "rho_p": digits(found.rho_p), **_slope_fields("slope", found.slope),
                      **_slope_fields("within_rows", found.within_rows), "rows": found.rows,
                      "targets": found.targets, "controls": ", ".join(found.controls),
                      "remark": "; ".join(left_out)})  # fmt: skip
    table, _ = informative(common_targets(tables))
    verdicts, choices = [], []
    few = order[: min(permutations, STRATEGY_PERMUTATIONS)]
    for name, predict in strategies_of(table, tables).items():
        verdicts.append(ranking.verdict(name, table.scores, table.gains, predict, few))
        choices += ranking.choices(name, table.scores, predict(table.gains), table.rows, table.targets)
    random = ranking.mean_quality(ranking.at_random(table.scores))
    verdicts.append(ranking.Verdict("random", random, None, None, None))
    weights = {
        name: ranking.fit_all(table.gains, {name: columns_of(each, each.measure, table.targets), **table.controls})
        for name, each in tables.items()
    }
    adjusted = adjusted_over_all(associations, verdicts, len(few))
    for line in lines:
        if line["target"] == "all":
            line["p_max_t"] = digits(adjusted[line["measure"], "slope"])
            line["within_rows_p_max_t"] = digits(adjusted[line["measure"], "within_rows"])
    return SimilarityResults(model, associations, verdicts, choices, remarks, weights, adjusted), lines


def _slope_fields(name: str, slope: Slope) -> dict[str, Any]:
    prefix = "" if name == "slope" else f"{name}_"
    return {name: slope.value, f"{prefix}low": slope.low, f"{prefix}high": slope.high, f"{prefix}p": digits(slope.p)}


def adjusted_over_all(
    associations: Mapping[str, PooledAssociation], verdicts: Sequence[ranking.Verdict], permutations: int
) -> dict[tuple[str, str], float]:
    """(measure, slope or within_rows) and (strategy, lost1) -> p-value adjusted over all of them, by `max_t`."""
    names: list[tuple[str, str]] = []
    found: list[float] = []
    drawn: list[np.ndarray] = []
    for measure, item in associations.items():
        for which, slope in (("slope", item.slope), ("within_rows", item.within_rows)):
            names.append((measure, which))
            found.append(abs(slope.value))
            drawn.append(np.abs(slope.drawn[:permutations]))
    for verdict in verdicts:
        if verdict.drawn is not None:
            mean = float(verdict.drawn.mean())
            names.append((verdict.strategy, "lost1"))
            found.append(mean - verdict.quality.lost1)
            drawn.append(mean - verdict.drawn)
    return dict(zip(names, max_t(found, drawn), strict=True))


def strategies_of(table: Table, tables: Mapping[str, Table]) -> dict[str, ranking.Predict]:
    """Strategy -> predictions from gains, on the targets of `table`, which every measure has.

    `left out: …` predict each target by a regression on the others.
    """
    measures = {name: columns_of(each, each.measure, table.targets) for name, each in tables.items()}
    found: dict[str, ranking.Predict] = {name: partial(_fixed, measure) for name, measure in measures.items()}
    found["size"] = partial(_fixed, table.log_size)
    if len(table.targets) >= 3:
        found["left out: the rows' past"] = ranking.others_mean
        for name, measure in measures.items():
            predictors = {name: measure, **table.controls}
            found[LEFT_OUT.format(name)] = partial(ranking.leave_one_out, predictors=predictors)
    return found


def _fixed(prediction: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """A prediction that does not depend on the gains."""
    return prediction


def _pair_lines(
    model: str, measure: str, table: Table, sizes: Mapping[tuple[str, str], int]
) -> Iterable[dict[str, Any]]:
    for i, row in enumerate(table.rows):
        for j, target in enumerate(table.targets):
            yield {
                "model": model, "intermediate": row, "target": target, "measure": measure,
                "similarity": repr(float(table.measure[i, j])), "gain": repr(float(table.gains[i, j])),
                "score": repr(float(table.scores[i, j])), "examples": sizes[model, row],
                "same_family": bool(table.same_family[i, j]),
            }  # fmt: skip


def _verdict_line(found: SimilarityResults, item: ranking.Verdict) -> dict[str, Any]:
    targets = len({choice.target for choice in found.choices})
    return {
        "model": found.model, "strategy": item.strategy, "targets": targets, **vars(item.quality),
        "p_lost1": digits(item.p_lost1), "p_lost1_max_t": digits(found.adjusted.get((item.strategy, "lost1"))),
        "p_regret3": digits(item.p_regret3), "p_ndcg": digits(item.p_ndcg),
    }  # fmt: skip


def _choice_line(model: str, item: ranking.Choice) -> dict[str, Any]:
    return {**vars(item), **vars(item.quality), "model": model}


def _seed(*names: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8], "big")
