"""Answers about the studies for their rules. A study is planned when the workflow is parsed, and checked when asked."""

from functools import lru_cache

from stiltgrid.config.data_checks import data_problems


@lru_cache
def study_grid(study):
    """The rectangle of a study as a grid; refused before any work where it is not configured or lacks data."""
    if study not in GRID.plans:
        raise WorkflowError(
            f"study_{study}: the configuration has no section studies.{study}; "
            "config.yaml shows it for the mini-lab, presets/studies.yaml at real scale"
        )
    view, plan = GRID.view(study), GRID.plans[study]
    asked = replace(
        view,
        intermediates=(*view.intermediates, *plan.trained, *plan.mixed),
    )
    problems = data_problems(asked, Path(workflow.basedir))
    if problems:
        raise WorkflowError(
            f"study_{study}:\n" + "\n".join(f"  - {problem}" for problem in problems)
        )
    return view


def study_metrics(study):
    """Scores of a study's cells, as an input function."""
    return lambda wildcards: [cell.metrics for cell in paths.cells(study_grid(study))]


def study_layout(study):
    """What the tables of a study must hold, as a parameter function."""
    return lambda wildcards: as_params(grid_layout(study_grid(study)))


def study_section(study):
    """A study's section of the configuration, as a parameter function."""
    return lambda wildcards: as_params(GRID.studies[study])


def trained_record(row):
    """Of each model and seed of a study's row its training record, `training.json`."""
    model, intermediate, seed = row
    return f"{paths.intermediate_folder(model, intermediate, seed)}/training.json"


def study_records(study):
    """Training records of all rows of a study that have a training, as an input function."""
    return lambda wildcards: [
        trained_record((model, row, seed))
        for view in [study_grid(study)]
        for model in view.models
        for row in view.intermediates
        if row != NONE
        for seed in view.seeds
    ]


def configured_summaries(wildcards):
    """The last page of every study that the configuration has."""
    if not GRID.plans:
        raise WorkflowError(
            "studies: the configuration has no section `studies`; presets/studies.yaml is one"
        )
    return [f"results/studies/{study}/summary.md" for study in GRID.plans]
