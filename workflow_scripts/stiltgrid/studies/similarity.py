"""Study 1, similarity: task vectors against gains, the ranking they give, and which row to try first."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stiltgrid.analysis.tables import AnyPath, Cell, Transfer, write_tsv
from stiltgrid.evaluation.task_vectors import similarity
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout
from stiltgrid.studies import ranking
from stiltgrid.studies.association import PERMUTATIONS, by_target, pooled
from stiltgrid.studies.errors import StudyError
from stiltgrid.studies.scores import complete
from stiltgrid.studies.similarity_plot import plot_similarity
from stiltgrid.studies.similarity_results import SimilarityResults
from stiltgrid.studies.similarity_text import findings, limits, summary
from stiltgrid.studies.summary import write_summary

log = logging.getLogger(__name__)
PAIR_COLUMNS = ("model", "intermediate", "target", "measure", "similarity", "gain", "score", "examples", "same_family")
ASSOCIATION_COLUMNS = (
    "model", "measure", "target", "rho", "rho_p", "rho_p_holm", "slope", "low", "high", "p", "p_apart", "rows",
    "targets", "controls", "remark",
)  # fmt: skip
STRATEGY_COLUMNS = (
    "model", "strategy", "targets", "regret1", "regret3", "lost1", "ndcg", "p_regret1", "p_regret3", "p_ndcg",
)  # fmt: skip
CHOICE_COLUMNS = ("model", "target", "strategy", "first", "score", "best", "best_score", "regret1", "regret3", "ndcg")


@dataclass(frozen=True)
class Table:
    """One model's numbers for one measure, (rows, targets) each: `scores` and `gains` are zero-shot."""

    rows: tuple[str, ...]
    targets: tuple[str, ...]
    scores: np.ndarray
    gains: np.ndarray
    measure: np.ndarray
    log_size: np.ndarray
    same_family: np.ndarray

    @property
    def controls(self) -> dict[str, np.ndarray]:
        """What is held: how much a row was trained on, and whether it is of the target's family."""
        return {"log training size": self.log_size, "same family": self.same_family}


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
    for model in layout.models:
        tables = {
            measure: _table(transfer, model, measure, files, sizes, families)
            for measure, files in vectors[model].items()
        }
        pairs += [line for measure, table in tables.items() for line in _pair_lines(model, measure, table, sizes)]
        told, rows = study_model(model, tables, permutations)
        found.append(told)
        lines += rows
    write_tsv(PAIR_COLUMNS, pairs, out.pairs)
    write_tsv(ASSOCIATION_COLUMNS, lines, out.associations)
    write_tsv(STRATEGY_COLUMNS, (_verdict_line(item, one) for item in found for one in item.verdicts), out.ranking)
    write_tsv(CHOICE_COLUMNS, (_choice_line(item.model, one) for item in found for one in item.choices), out.choices)
    slopes = {(item.model, measure): one for item in found for measure, one in item.associations.items()}
    plot_similarity(pairs, slopes, layout, out.plots)
    files = {"pairs": out.pairs, "associations": out.associations, "rankings": out.ranking,
             "first choices": out.choices, "plot": out.plots[0]}  # fmt: skip
    text = summary([line for item in found for line in findings(item)], limits(layout, found), files, layout.synthetic)
    write_summary(text, out.summary)


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
    """Associations and rankings of one model, and the lines of the table of associations."""
    associations, verdicts, choices, remarks = {}, [], [], []
    lines: list[dict[str, Any]] = []
    for measure, whole in tables.items():
        generator = np.random.default_rng(_seed(model, measure))
        table, left_out = _informative(whole)
        remarks += [f"{model}, {measure}: {remark}" for remark in left_out]
        for item in by_target(table.gains, table.measure, table.rows, table.targets, generator, permutations):
            lines.append({"model": model, "measure": measure, "target": item.target, "rho": item.rho,
                          "rho_p": _digits(item.p), "rho_p_holm": _digits(item.p_holm), "rows": item.rows,
                          "targets": 1})  # fmt: skip
        told = pooled(table.gains, table.measure, table.controls, table.rows, table.targets, generator, permutations)
        associations[measure] = told
        lines.append({"model": model, "measure": measure, "target": "all", "rho": told.rho,
                      "rho_p": _digits(told.rho_p), "slope": told.slope, "low": told.low, "high": told.high,
                      "p": _digits(told.p), "p_apart": _digits(told.p_apart), "rows": told.rows,
                      "targets": told.targets, "controls": ", ".join(told.controls),
                      "remark": "; ".join(left_out)})  # fmt: skip
    table, _ = _informative(_common(tables))
    strategies = strategies_of(table, {name: each for name, each in tables.items()})
    generator = np.random.default_rng(_seed(model, "strategies"))
    for name, prediction in strategies.items():
        verdicts.append(ranking.verdict(name, table.scores, prediction, generator, min(permutations, 999)))
        choices += ranking.choices(name, table.scores, prediction, table.rows, table.targets)
    random = ranking.mean_quality(ranking.at_random(table.scores))
    verdicts.append(ranking.Verdict("random", random, None, None, None))
    weights = {
        name: ranking.fit_all(table.gains, {name: _columns(each, each.measure, table.targets), **table.controls})
        for name, each in tables.items()
    }
    return SimilarityResults(model, associations, verdicts, choices, remarks, weights), lines


def strategies_of(table: Table, tables: Mapping[str, Table]) -> dict[str, np.ndarray]:
    """Strategy -> what it ranks rows by, on the targets of `table`, which every measure has.

    `left out: …` are predictions of each target by a regression that has only seen the others.
    """
    measures = {name: _columns(each, each.measure, table.targets) for name, each in tables.items()}
    found = {**measures, "size": table.log_size}
    if len(table.targets) >= 3:
        found["left out: the rows' past"] = ranking.others_mean(table.gains)
        for name, measure in measures.items():
            predictors = {name: measure, **table.controls}
            found[f"left out: {name} and controls"] = ranking.leave_one_out(table.gains, predictors)
    return found


def _table(
    transfer: Transfer,
    model: str,
    measure: str,
    files: Mapping[str, Mapping[str, str]],
    sizes: Mapping[tuple[str, str], int],
    families: Mapping[str, str],
) -> Table:
    rows, targets = tuple(files["rows"]), tuple(files["targets"])
    cells = [[transfer.cell(model, row, target) for target in targets] for row in rows]
    base = [_zero_shot(transfer.cell(model, NONE, target)) for target in targets]
    scores = np.asarray([[_zero_shot(cell) for cell in line] for line in cells])
    alike = [[similarity(measure, files["rows"][row], files["targets"][name]) for name in targets] for row in rows]
    size = np.log([[float(sizes[model, row])] * len(targets) for row in rows])
    same = np.asarray([[float(families[row] == families[name]) for name in targets] for row in rows])
    return Table(rows, targets, scores, scores - np.asarray(base), np.asarray(alike), size, same)


def _zero_shot(cell: Cell | None) -> float:
    """The mean over languages other than English and seeds; over all where there is no other."""
    if cell is None:
        return float("nan")
    return (cell.zero_shot or cell.score).value


def _informative(table: Table) -> tuple[Table, list[str]]:
    """The targets on which rows differ, in gains and in the measure; a word on each that is left out."""
    flat = {"gain": np.ptp(table.gains, axis=0) == 0, "similarity": np.ptp(table.measure, axis=0) == 0}
    said = [f"all rows have one {what} on {table.targets[n]}, which says nothing" for what, each in flat.items()
            for n in np.flatnonzero(each)]  # fmt: skip
    kept = [name for n, name in enumerate(table.targets) if not any(each[n] for each in flat.values())]
    if not kept:
        raise StudyError("similarity: on no target do rows differ in gain and in similarity; nothing can be compared")
    return _part(table, kept), said


def _common(tables: Mapping[str, Table]) -> Table:
    """The first measure's table, on the targets that every measure has."""
    first = next(iter(tables.values()))
    return _part(first, [name for name in first.targets if all(name in each.targets for each in tables.values())])


def _part(table: Table, targets: Sequence[str]) -> Table:
    names = ("scores", "gains", "measure", "log_size", "same_family")
    matrices = {name: _columns(table, getattr(table, name), targets) for name in names}
    return Table(table.rows, tuple(targets), **matrices)


def _columns(table: Table, matrix: np.ndarray, targets: Sequence[str]) -> np.ndarray:
    return matrix[:, [table.targets.index(name) for name in targets]]


def _pair_lines(
    model: str, measure: str, table: Table, sizes: Mapping[tuple[str, str], int]
) -> Iterable[dict[str, Any]]:
    for i, row in enumerate(table.rows):
        for j, target in enumerate(table.targets):
            yield {
                "model": model, "intermediate": row, "target": target, "measure": measure,
                "similarity": float(table.measure[i, j]), "gain": float(table.gains[i, j]),
                "score": float(table.scores[i, j]), "examples": sizes[model, row],
                "same_family": bool(table.same_family[i, j]),
            }  # fmt: skip


def _verdict_line(found: SimilarityResults, item: ranking.Verdict) -> dict[str, Any]:
    targets = len({choice.target for choice in found.choices})
    p = {"p_regret1": _digits(item.p_regret1), "p_regret3": _digits(item.p_regret3), "p_ndcg": _digits(item.p_ndcg)}
    return {"model": found.model, "strategy": item.strategy, "targets": targets, **vars(item.quality), **p}


def _choice_line(model: str, item: ranking.Choice) -> dict[str, Any]:
    return {**vars(item), **vars(item.quality), "model": model}


def _digits(number: float | None) -> str | None:
    return None if number is None else f"{number:.3g}"


def _seed(*names: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8], "big")
