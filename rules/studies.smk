"""Research questions on top of the grid: `snakemake study_{name}`, or `snakemake studies` for all that are configured.

Their cells are ordinary ones, so the rules that train and score the grid make them, and what the grid has already is
not made again. None of them belongs to `all`.
"""


include: "study_diversity.smk"
include: "study_how_many.smk"
include: "study_similarity.smk"
include: "study_architecture.smk"
include: "study_retrieval.smk"


localrules:
    studies,
    collect_study_scores,


rule studies:
    input:
        lambda wildcards: STUDIES.summaries(),


rule collect_study_scores:
    input:
        cells=lambda wildcards: STUDIES.metrics(wildcards.study),
        unfinished=lambda wildcards: STUDIES.unfinished(wildcards.study),
    output:
        "results/studies/{study}/scores.parquet",
    log:
        "logs/studies/{study}/scores.log",
    wildcard_constraints:
        study=paths.pattern(STUDIES.unmixed()),
    conda:
        "../envs/analysis.yaml"
    params:
        synthetic=LAYOUT.synthetic,
        code=lambda wildcards: CODE.plain("collect_scores"),
    script:
        "../workflow_scripts/collect_scores.py"
