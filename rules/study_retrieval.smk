"""Study 5: does training on English question answering generalise to cross-lingual retrieval?"""


localrules:
    study_retrieval,


rule rank_queries:
    input:
        checkpoint=lambda wildcards: STUDIES.ranked_checkpoint(
            wildcards.model, wildcards.intermediate, wildcards.phase, wildcards.seed
        ),
        tokenizer=TOKENIZER,
        encoded="results/encoded/{model}/{target}/eval.arrow",
        rows="results/data/{target}/eval.parquet",
    output:
        "results/studies/retrieval/ranks/{model}/{intermediate}/{target}/{phase}/seed{seed}.parquet",
    log:
        "logs/studies/retrieval/ranks/{model}/{intermediate}/{target}/{phase}/seed{seed}.log",
    wildcard_constraints:
        phase="before|after",
    conda:
        "../envs/training.yaml"
    threads: lambda wildcards: NEEDS.threads(wildcards.model)
    resources:
        gpu=1,
        mem_mb=lambda wildcards, input, attempt: NEEDS.scoring_mb(input, attempt),
        runtime=lambda wildcards, input, attempt: NEEDS.scoring_minutes(input, attempt),
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "score"),
        card=lambda wildcards: PARAMS.scored_card(wildcards.target),
        batch_tokens=lambda wildcards: GRID.evaluation_for(
            wildcards.target
        ).batch_tokens,
        code=lambda wildcards: CODE.plain("rank_queries"),
    script:
        "../workflow_scripts/rank_queries.py"


rule study_retrieval:
    input:
        ranks=lambda wildcards: STUDIES.retrieval_ranks(),
    output:
        contrasts=report(
            "results/studies/retrieval/contrasts.tsv",
            caption="../report/study_retrieval.rst",
            category="Studies",
            labels={"study": "question answering for retrieval", "shows": "contrasts"},
        ),
        outcomes="results/studies/retrieval/outcomes.tsv",
        plots=[
            report(
                "results/studies/retrieval/contrasts.svg",
                caption="../report/study_retrieval.rst",
                category="Studies",
                labels={
                    "study": "question answering for retrieval",
                    "shows": "recall@10",
                },
            ),
            "results/studies/retrieval/contrasts.png",
            "results/studies/retrieval/contrasts.pdf",
        ],
        summary=report(
            "results/studies/retrieval/summary.md",
            caption="../report/study_retrieval.rst",
            category="Studies",
            labels={"study": "question answering for retrieval", "shows": "summary"},
        ),
    log:
        "logs/studies/retrieval/study.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=lambda wildcards: STUDIES.layout("retrieval"),
        groups=lambda wildcards: STUDIES.retrieval_groups(),
        cells=lambda wildcards: STUDIES.retrieval_cells(),
        trained_on=lambda wildcards: STUDIES.retrieval_task(),
        code=lambda wildcards: CODE.plain("study_retrieval"),
    script:
        "../workflow_scripts/study_retrieval.py"
