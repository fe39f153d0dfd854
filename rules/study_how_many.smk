"""Study 4: how many intermediate tasks, best first, are enough?

Which tasks are best is known when each has been trained alone. `rank_tasks` is a checkpoint: after it the rows of the
best tasks are asked for under names that say what they mix, so another ranking trains just the mixtures that are new.
"""


localrules:
    rank_tasks,
    collect_how_many_scores,
    study_how_many,


checkpoint rank_tasks:
    input:
        lambda wildcards: STUDIES.ranked_records(),
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
        tasks=lambda wildcards: STUDIES.ranked_tasks(),
        synthetic=LAYOUT.synthetic,
        code=lambda wildcards: CODE.plain("rank_tasks"),
    script:
        "../workflow_scripts/rank_tasks.py"


rule collect_how_many_scores:
    input:
        # By the ranking or not: what is known before it is planned, counted and run without it.
        unfinished=lambda wildcards: STUDIES.unfinished("how_many"),
        known=lambda wildcards: STUDIES.metrics("how_many"),
        unfinished_best=lambda wildcards: STUDIES.unfinished_best(
            checkpoints.rank_tasks.get().output[0]
        ),
        cells=lambda wildcards: STUDIES.metrics("how_many")
        + STUDIES.best_metrics(checkpoints.rank_tasks.get().output[0]),
    output:
        "results/studies/how_many/scores.parquet",
    log:
        "logs/studies/how_many/scores.log",
    conda:
        "../envs/analysis.yaml"
    params:
        synthetic=LAYOUT.synthetic,
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
        languages="results/studies/how_many/languages.tsv",
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
            "results/studies/how_many/curves.pdf",
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
        layout=lambda wildcards: STUDIES.layout("how_many"),
        section=lambda wildcards: STUDIES.section("how_many"),
        data=[CODE.data_file(name) for name in ("uriel.csv", "grambank.csv")],
        code=lambda wildcards: CODE.plain("study_how_many"),
    script:
        "../workflow_scripts/study_how_many.py"
