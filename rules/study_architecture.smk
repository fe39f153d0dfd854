"""Study 2: do models of two architectures show different patterns of zero-shot transfer?"""


include: "common_architecture.smk"


localrules:
    study_architecture,


rule study_architecture:
    input:
        scores="results/studies/architecture/scores.parquet",
        predictions=lambda wildcards: [
            cell.metrics.replace("metrics.json", "predictions.parquet")
            for cell in paths.cells(study_grid("architecture"))
        ],
    output:
        likeness=report(
            "results/studies/architecture/likeness.tsv",
            caption="../report/study_architecture.rst",
            category="Studies",
            labels={"study": "architecture", "shows": "likeness"},
        ),
        differences="results/studies/architecture/differences.tsv",
        plots=[
            report(
                "results/studies/architecture/gains.svg",
                caption="../report/study_architecture.rst",
                category="Studies",
                labels={"study": "architecture", "shows": "gains"},
            ),
            "results/studies/architecture/gains.png",
        ],
        summary=report(
            "results/studies/architecture/summary.md",
            caption="../report/study_architecture.rst",
            category="Studies",
            labels={"study": "architecture", "shows": "summary"},
        ),
    log:
        "logs/studies/architecture/study.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=study_layout("architecture"),
        section=study_section("architecture"),
        families=lambda wildcards: counted(study_grid("architecture")),
        kinds=lambda wildcards: task_families(study_grid("architecture")),
        cells=lambda wildcards: [
            [cell.model, cell.intermediate, cell.target, cell.seed]
            for cell in paths.cells(study_grid("architecture"))
        ],
        code=lambda wildcards: CODE.plain("study_architecture"),
    script:
        "../workflow_scripts/study_architecture.py"
