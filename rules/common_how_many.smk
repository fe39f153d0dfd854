"""Answers about study 4 for its rules: what is ranked, and which rows follow from the ranking."""

from stiltgrid.grid.designs import how_many
from stiltgrid.studies.ranking_table import read_ranking


def ranked_records(wildcards):
    """Training records of each task alone."""
    view, plan = study_grid("how_many"), GRID.plans["how_many"]
    return [
        trained_record((model, task, seed))
        for model in view.models
        for task in plan.trained
        for seed in view.seeds
    ]


def ranked_tasks(wildcards):
    """What the ranking reads of the tasks."""
    section = GRID.studies["how_many"]
    scales = {
        task: how_many.scale(GRID.cards[task], section) for task in section["tasks"]
    }
    return [
        {"name": task, "metric": GRID.cards[task].metric, "chance": low, "best": high}
        for task, (low, high) in scales.items()
    ]


def how_many_metrics(wildcards):
    """Scores of the best tasks' mixtures, once the ranking is there; those that no random set has."""
    view = study_grid("how_many")
    planned = set(study_metrics("how_many")(wildcards))
    rankings = read_ranking(checkpoints.rank_tasks.get().output[0])
    best = [
        paths.Cell(model, row, target, seed).metrics
        for model, ranking in rankings.items()
        for row in how_many.best_rows(GRID.studies["how_many"], ranking).values()
        for target in view.targets
        for seed in view.seeds
    ]
    return [file for file in dict.fromkeys(best) if file not in planned]
