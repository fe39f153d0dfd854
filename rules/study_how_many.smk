"""Study 4: how many intermediate tasks, best first, are enough?

Which tasks are best is known when each has been trained alone. `rank_tasks` is a checkpoint: after it the rows of the
best tasks are asked for under names that say what they mix, so another ranking trains just the mixtures that are new.
"""

from stiltgrid.studies.designs import how_many


localrules:
    rank_tasks,
    collect_how_many_scores,
    study_how_many,


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
    """Scores of the random sets, and of the best tasks' mixtures once the ranking is there."""
    from stiltgrid.studies.ranked_tasks import read_ranking

    view = study_grid("how_many")
    rankings = read_ranking(checkpoints.rank_tasks.get().output[0])
    best = [
        grid_paths.Cell(model, row, target, seed).metrics
        for model, ranking in rankings.items()
        for row in how_many.best_rows(GRID.studies["how_many"], ranking).values()
        for target in view.targets
        for seed in view.seeds
    ]
    return list(dict.fromkeys([*study_metrics("how_many")(wildcards), *best]))


checkpoint rank_tasks:
    input:
        ranked_records,
    output:
        report(
            "results/studies/how_many/ranking.tsv",
            caption="../report/study_how_many.rst",
            category="Studies",
            labels={"study": "how many tasks", "shows": "ranking"},
        ),
    log:
        "logs/studies/how_many/ranking.log",
    conda:
        "../envs/analysis.yaml"
    params:
        tasks=ranked_tasks,
        code=lambda wildcards: CODE.plain("rank_tasks"),
    script:
        "../workflow_scripts/rank_tasks.py"


rule collect_how_many_scores:
    input:
        how_many_metrics,
    output:
        "results/studies/how_many/scores.parquet",
    log:
        "logs/studies/how_many/scores.log",
    conda:
        "../envs/analysis.yaml"
    params:
        code=lambda wildcards: CODE.plain("collect_scores"),
    script:
        "../workflow_scripts/collect_scores.py"


rule study_how_many:
    input:
        scores=rules.collect_how_many_scores.output[0],
        ranking="results/studies/how_many/ranking.tsv",
    output:
        curves=report(
            "results/studies/how_many/curves.tsv",
            caption="../report/study_how_many.rst",
            category="Studies",
            labels={"study": "how many tasks", "shows": "curves"},
        ),
        tests=report(
            "results/studies/how_many/tests.tsv",
            caption="../report/study_how_many.rst",
            category="Studies",
            labels={"study": "how many tasks", "shows": "tests"},
        ),
        plots=[
            report(
                "results/studies/how_many/curves.svg",
                caption="../report/study_how_many.rst",
                category="Studies",
                labels={"study": "how many tasks", "shows": "curves (plot)"},
            ),
            "results/studies/how_many/curves.png",
        ],
        summary=report(
            "results/studies/how_many/summary.md",
            caption="../report/study_how_many.rst",
            category="Studies",
            labels={"study": "how many tasks", "shows": "summary"},
        ),
    log:
        "logs/studies/how_many/study.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=study_layout("how_many"),
        section=study_section("how_many"),
        data=data_digest("uriel.csv"),
        code=lambda wildcards: CODE.plain("study_how_many"),
    script:
        "../workflow_scripts/study_how_many.py"
