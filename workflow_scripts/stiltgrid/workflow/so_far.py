"""Tables, plots and the summary of the cells that are finished, where others are not yet or have failed.

They are written to a folder of their own, so that tables of a part are not mistaken for those of the whole grid. The
files are made as for the whole grid: cells without a score are counted and left empty.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.grid import paths
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.layout import grid_layout, shown_layout
from stiltgrid.grid.paths import Cell
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.workflow import page_job
from stiltgrid.workflow.dry_run import PlannedJob, planned_jobs
from stiltgrid.workflow.table_params import counted_families, hub_names, official_languages

log = logging.getLogger(__name__)
FOLDER = Path(paths.RESULTS, "so_far")
COMMAND = "snakemake --cores 1 tables_so_far"


def finished_cells(grid: Grid, planned: Iterable[PlannedJob]) -> list[Cell]:
    """The cells whose scores exist and that no planned job computes again."""
    again = {
        tuple(job.wildcards[key] for key in ("model", "intermediate", "target", "seed"))
        for job in planned
        if job.rule == "score_target"
    }
    return [
        cell
        for cell in paths.cells(grid)
        if (cell.model, cell.intermediate, cell.target, str(cell.seed)) not in again and Path(cell.metrics).is_file()
    ]


def write_so_far(grid: Grid, cells: Sequence[Cell], folder: Path = FOLDER) -> str:
    """Write tables, plots and the summary of these cells; returns the summary.

    Raises StiltgridError where there is no cell.
    """
    # What plots and tests need is imported here: the rules import this module while they are parsed.
    from stiltgrid.analysis.tables import collect_scores, write_transfer
    from stiltgrid.reporting.summary import write_summary

    if not cells:
        raise StiltgridError("no cell is finished yet, so there is nothing to make tables of")
    tables = folder / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    layout = grid_layout(grid)
    scores, best = tables / "scores.parquet", tables / "best_rows.tsv"
    collect_scores([cell.metrics for cell in cells], scores, synthetic=layout.synthetic)
    write_transfer(scores, layout, tables / "transfer.tsv", tables / "transfer_by_language.tsv")
    _write_comparisons(grid, cells, scores, tables)
    _write_for_reading(grid, scores, best, tables)
    matrix = _write_plots(grid, scores, best, folder / "plots")
    page = _write_page(grid, cells, tables, folder)
    places = {
        "page": str(page),
        "matrix": str(matrix),
        "table": str(tables / "transfer.tsv"),
        "every number": str(scores),
        "missing cells": str(_write_missing(grid, cells, tables / "missing.tsv")),
    }
    write_summary(scores, layout, places, tables / "summary.txt", best)
    return (tables / "summary.txt").read_text(encoding="utf-8")


def _write_comparisons(grid: Grid, cells: Sequence[Cell], scores: Path, tables: Path) -> None:
    from stiltgrid.analysis.language_groups import write_gaps
    from stiltgrid.analysis.official import write_official
    from stiltgrid.analysis.published import write_published
    from stiltgrid.analysis.selection import write_best_rows
    from stiltgrid.analysis.significance import write_significance

    layout, families, languages = grid_layout(grid), counted_families(grid), official_languages(grid)
    predictions = _predictions(cells)
    significance = (tables / "significance.tsv", tables / "significance_by_language.tsv")
    write_significance(scores, layout, families, predictions, *significance)
    write_best_rows(scores, layout, families, predictions, tables / "best_rows.tsv")
    write_official(scores, layout, languages, tables / "official.tsv")
    write_gaps(scores, layout, tables / "language_gaps.tsv", tables / "language_groups.tsv")
    write_published(scores, layout, hub_names(grid), languages, tables / "published.tsv")


def _write_for_reading(grid: Grid, scores: Path, best: Path, tables: Path) -> None:
    from stiltgrid.analysis.best_rows import read_best_rows
    from stiltgrid.reporting.latex import write_latex
    from stiltgrid.reporting.tables_readme import write_readme

    layout = shown_layout(grid)
    write_latex(scores, layout, tables / "transfer.tex", read_best_rows(best))
    write_readme(tables / "README.md", layout.synthetic, finished=False)


def _write_page(grid: Grid, cells: Sequence[Cell], tables: Path, folder: Path) -> Path:
    from stiltgrid.reporting.page.page import PageFiles, TrainingLog, write_page

    rows = dict(zip(grid.targets, page_job.row_paths(grid), strict=True))
    logs = [TrainingLog(*line) for line in page_job.training_logs(grid)]
    selection = page_job.selection_answer() or None
    files = PageFiles(tables, _predictions(cells), rows, logs, selection)
    write_page(grid_layout(grid), files, page_job.facts(grid), folder / "index.html")
    return folder / "index.html"


def _predictions(cells: Sequence[Cell]) -> dict[tuple[str, str, str, int], str]:
    """Model, intermediate, target, seed -> predictions."""
    return {
        (cell.model, cell.intermediate, cell.target, cell.seed): cell.metrics.replace(
            "metrics.json", "predictions.parquet"
        )
        for cell in cells
    }


def _write_plots(grid: Grid, scores: Path, best: Path, plots: Path) -> Path:
    from stiltgrid.analysis.best_rows import read_best_rows
    from stiltgrid.reporting.plots import plot_english_and_zero_shot, plot_languages, plot_transfer_matrix

    layout = shown_layout(grid)
    (plots / "languages").mkdir(parents=True, exist_ok=True)
    plot_transfer_matrix(scores, layout, _in_every_format(plots / "transfer_matrix"), read_best_rows(best))
    plot_english_and_zero_shot(scores, layout, _in_every_format(plots / "english_and_zero_shot"))
    for target in grid.targets:
        plot_languages(scores, layout.only(target), target, _in_every_format(plots / "languages" / target))
    return plots / "transfer_matrix.svg"


def _in_every_format(stem: Path) -> list[Path]:
    return [stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "png", "pdf")]


def _write_missing(grid: Grid, cells: Sequence[Cell], path: Path) -> Path:
    """A line for every cell that is not among `cells`."""
    from stiltgrid.analysis.tables import CELL_KEYS, write_tsv

    found = set(cells)
    missing = [cell for cell in paths.cells(grid) if cell not in found]
    lines = [{name: getattr(cell, name) for name in CELL_KEYS} for cell in missing]
    write_tsv(CELL_KEYS, lines, path, synthetic=grid_layout(grid).synthetic)
    return path


def tables_so_far(
    grid: Grid, snakefile: Path, configfiles: Sequence[str], settings: Mapping[str, Any], triggers: Sequence[str]
) -> str:
    """Make the tables of the cells that this configuration has finished; returns the summary.

    A cell whose jobs would run again, because a setting, a card or code changed since, is not finished.
    `configfiles` and `settings` are what the command line laid over the default configuration, `triggers` what makes
    a job run again (`--rerun-triggers`). Raises StiltgridError where no cell is finished.
    """
    planned = planned_jobs(snakefile, configfiles, settings, triggers=triggers)
    return write_so_far(grid, finished_cells(grid, planned))


def after_failure(grid: Grid, workflow: Any) -> str:
    """What a failed run prints: with --keep-going the summary of the finished cells, else how to get it.

    Nothing in the process of a single job, or where no cell was asked for.
    """
    if not workflow.is_main_process or not any(job.rule.name == "score_target" for job in workflow.dag.jobs):
        return ""
    if not workflow.execution_settings.keep_going:
        return (
            "Tables of the cells that are finished: " + COMMAND + ". With --keep-going a run goes on with the other "
            "cells after a failure, and makes these tables itself.\n"
        )
    asked = workflow.config_settings
    triggers = [str(trigger) for trigger in workflow.dag_settings.rerun_triggers]
    try:
        return tables_so_far(
            grid, Path(workflow.main_snakefile), [str(file) for file in asked.configfiles], asked.config, triggers
        )
    except Exception as error:  # the run has failed already; that must be what its user reads about
        return f"No tables of the cells that are finished: {error}\n"
