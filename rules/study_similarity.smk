"""Study 1: how does the similarity of an intermediate task to a target relate to zero-shot transfer?"""


include: "common_similarity.smk"


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
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=scoring_memory,
        runtime=scoring_minutes,
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "score"),
        examples=embedding_option("examples", 500),
        batch_tokens=16384,
        code=lambda wildcards: CODE.plain("embed_task"),
    script:
        "../workflow_scripts/embed_task.py"


rule train_fisher:
    input:
        checkpoint=lambda wildcards: paths.checkpoint(
            similarity_files.fisher_checkpoint(
                wildcards.model, wildcards.kind, wildcards.tuned, GRID.seeds[0]
            )
        ),
        tokenizer=TOKENIZER,
        encoded=lambda wildcards: f"results/encoded/{wildcards.model}/{fisher_task(wildcards)}/train.arrow",
    output:
        f"{EMBEDDINGS}/{{model}}/fisher/{{kind}}/{{tuned}}.safetensors",
    log:
        "logs/studies/similarity/embeddings/{model}/fisher/{kind}/{tuned}.log",
    wildcard_constraints:
        kind="row|target",
        tuned="[a-z0-9_+]+",
    conda:
        "../envs/training.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=scoring_memory,
        runtime=scoring_minutes,
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        card=lambda wildcards: card_view(GRID.cards[fisher_task(wildcards)], "train"),
        examples=embedding_option("fisher_examples", 200),
        seed=GRID.seeds[0],
        code=lambda wildcards: CODE.families("train_fisher", [fisher_task(wildcards)]),
    script:
        "../workflow_scripts/train_fisher.py"


rule study_similarity:
    input:
        scores="results/studies/similarity/scores.parquet",
        records=study_records("similarity"),
        vectors=lambda wildcards: similarity_files.flat(similarity_vectors(wildcards)),
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
        layout=study_layout("similarity"),
        section=study_section("similarity"),
        vectors=similarity_vectors,
        families=lambda wildcards: similarity_files.families(study_grid("similarity")),
        code=lambda wildcards: CODE.plain("study_similarity"),
    script:
        "../workflow_scripts/study_similarity.py"
