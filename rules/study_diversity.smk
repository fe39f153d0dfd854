"""Study 3: does the number of different intermediate tasks matter more than the number of examples?"""


localrules:
    study_diversity,


rule study_diversity:
    input:
        scores="results/studies/diversity/scores.parquet",
        records=lambda wildcards: STUDIES.records("diversity"),
    output:
        effects=report(
            "results/studies/diversity/effects.tsv",
            caption="../report/study_diversity.rst",
            category="Studies",
            labels={"study": "diversity against volume", "shows": "effects"},
        ),
        outcomes="results/studies/diversity/outcomes.tsv",
        plots=[
            report(
                "results/studies/diversity/outcomes.svg",
                caption="../report/study_diversity.rst",
                category="Studies",
                labels={"study": "diversity against volume", "shows": "outcomes"},
            ),
            "results/studies/diversity/outcomes.png",
            "results/studies/diversity/outcomes.pdf",
        ],
        summary=report(
            "results/studies/diversity/summary.md",
            caption="../report/study_diversity.rst",
            category="Studies",
            labels={"study": "diversity against volume", "shows": "summary"},
        ),
    log:
        "logs/studies/diversity/study.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=lambda wildcards: STUDIES.layout("diversity"),
        section=lambda wildcards: STUDIES.section("diversity"),
        code=lambda wildcards: CODE.plain("study_diversity"),
    script:
        "../workflow_scripts/study_diversity.py"
