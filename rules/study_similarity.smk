"""Study 1: how does the similarity of an intermediate task to a target relate to zero-shot transfer?"""


localrules:
    study_similarity,


rule embed_task:
    input:
        checkpoint=lambda wildcards: paths.checkpoint(
            paths.backbone_folder(wildcards.model)
        ),
        tokenizer=TOKENIZER,
        encoded="results/encoded/{model}/{task}/{split}.arrow",
        rows="results/data/{task}/{split}.parquet",
    output:
        f"{EMBEDDINGS}/{{model}}/{{measure}}/{{task}}/{{split}}.safetensors",
    log:
        "logs/studies/similarity/embeddings/{model}/{measure}/{task}/{split}.log",
    wildcard_constraints:
        measure="text|sentence|words",
        split="train|eval",
    conda:
        "../envs/training.yaml"
    threads: lambda wildcards: NEEDS.threads(wildcards.model)
    resources:
        gpu=1,
        mem_mb=lambda wildcards, input, attempt: NEEDS.scoring_mb(input, attempt),
        runtime=lambda wildcards, input, attempt: NEEDS.scoring_minutes(input, attempt),
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "score"),
        examples=STUDIES.similarity_option("examples", 500),
        batch_tokens=None,
        code=lambda wildcards: CODE.plain("embed_task"),
    script:
        "../workflow_scripts/embed_task.py"


rule train_fisher:
    input:
        checkpoint=lambda wildcards: STUDIES.fisher_checkpoint(**wildcards),
        tokenizer=TOKENIZER,
        encoded=lambda wildcards: f"results/encoded/{wildcards.model}/{STUDIES.fisher_task(wildcards.kind, wildcards.tuned)}/train.arrow",
    output:
        f"{EMBEDDINGS}/{{model}}/fisher/{{kind}}/{{tuned}}.safetensors",
    log:
        "logs/studies/similarity/embeddings/{model}/fisher/{kind}/{tuned}.log",
    wildcard_constraints:
        kind="row|target",
        tuned="[a-z0-9_+]+",
    conda:
        "../envs/training.yaml"
    threads: lambda wildcards: NEEDS.threads(wildcards.model)
    resources:
        gpu=1,
        mem_mb=lambda wildcards, input, attempt: NEEDS.scoring_mb(input, attempt),
        runtime=lambda wildcards, input, attempt: NEEDS.scoring_minutes(input, attempt),
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        card=lambda wildcards: STUDIES.fisher_card(wildcards.kind, wildcards.tuned),
        examples=STUDIES.similarity_option("fisher_examples", 200),
        seed=GRID.seeds[0],
        code=lambda wildcards: CODE.families(
            "train_fisher", [STUDIES.fisher_task(wildcards.kind, wildcards.tuned)]
        ),
    script:
        "../workflow_scripts/train_fisher.py"


rule study_similarity:
    input:
        scores="results/studies/similarity/scores.parquet",
        records=lambda wildcards: STUDIES.records("similarity"),
        vectors=lambda wildcards: STUDIES.similarity_files(),
    output:
        pairs="results/studies/similarity/pairs.tsv",
        associations=report(
            "results/studies/similarity/associations.tsv",
            caption="../report/study_similarity.rst",
            category="Studies",
            labels={"study": "similarity", "shows": "associations"},
        ),
        ranking=report(
            "results/studies/similarity/ranking.tsv",
            caption="../report/study_similarity.rst",
            category="Studies",
            labels={"study": "similarity", "shows": "rankings"},
        ),
        choices="results/studies/similarity/first_choices.tsv",
        plots=[
            report(
                "results/studies/similarity/similarity.svg",
                caption="../report/study_similarity.rst",
                category="Studies",
                labels={"study": "similarity", "shows": "gains by similarity"},
            ),
            "results/studies/similarity/similarity.png",
            "results/studies/similarity/similarity.pdf",
        ],
        summary=report(
            "results/studies/similarity/summary.md",
            caption="../report/study_similarity.rst",
            category="Studies",
            labels={"study": "similarity", "shows": "summary"},
        ),
    log:
        "logs/studies/similarity/study.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=lambda wildcards: STUDIES.layout("similarity"),
        section=lambda wildcards: STUDIES.section("similarity"),
        vectors=lambda wildcards: STUDIES.similarity_vectors(),
        families=lambda wildcards: STUDIES.similarity_families(),
        code=lambda wildcards: CODE.plain("study_similarity"),
    script:
        "../workflow_scripts/study_similarity.py"
