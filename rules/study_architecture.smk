"""Study 2: do models of two architectures show different patterns of zero-shot transfer?"""


localrules:
    study_architecture,


rule study_architecture:
    input:
        scores="results/studies/architecture/scores.parquet",
        predictions=lambda wildcards: table_params.predictions(
            STUDIES.view("architecture")
        ),
        backbones=lambda wildcards: STUDIES.architecture_backbones(),
    output:
        divergence=report(
            "results/studies/architecture/divergence.tsv",
            caption="../report/study_architecture.rst",
            category="Studies",
            labels={"study": "architecture", "shows": "divergence"},
        ),
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
            "results/studies/architecture/gains.pdf",
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
        layout=lambda wildcards: STUDIES.layout("architecture"),
        section=lambda wildcards: STUDIES.section("architecture"),
        families=lambda wildcards: table_params.counted_families(
            STUDIES.view("architecture")
        ),
        kinds=lambda wildcards: STUDIES.task_families("architecture"),
        models=lambda wildcards: STUDIES.architecture_models(),
        cells=lambda wildcards: table_params.cell_keys(STUDIES.view("architecture")),
        code=lambda wildcards: CODE.plain("study_architecture"),
    script:
        "../workflow_scripts/study_architecture.py"
