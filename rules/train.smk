"""Fine-tuning: first on a row's recipe, then on a target's training tasks."""


rule train_intermediate:
    input:
        backbone=lambda wildcards: paths.checkpoint(
            paths.intermediate_folder(
                wildcards.model,
                GRID.recipe(wildcards.intermediate).after or NONE,
                wildcards.seed,
            )
        ),
        tokenizer=TOKENIZER,
        data=lambda wildcards: training_files(
            wildcards.model, row_sources(wildcards.intermediate)
        ),
        more=lambda wildcards: recipe_files(wildcards.model, wildcards.intermediate),
    output:
        multiext(
            "results/intermediate/{model}/{intermediate}/seed{seed}/",
            *paths.TRAINED,
        ),
    log:
        "logs/intermediate/{model}/{intermediate}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train_intermediate/{model}/{intermediate}/seed{seed}.tsv"
    wildcard_constraints:
        intermediate=paths.trained_rows(GRID),
    priority: 50
    conda:
        "../envs/training.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=training_memory(
            "intermediate", lambda wildcards: GRID.recipe(wildcards.intermediate).tasks
        ),
        runtime=training_minutes(
            "intermediate", lambda wildcards: GRID.recipe(wildcards.intermediate).tasks
        ),
        # State for a resumed run; 0 saves none. Changes no result, so it is no parameter.
        save_seconds=600,
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        recipe=lambda wildcards: recipe_params(wildcards.model, wildcards.intermediate),
        tasks=lambda wildcards: row_params(wildcards.model, wildcards.intermediate),
        settings=lambda wildcards: recipe_settings(wildcards.intermediate),
        code=lambda wildcards: CODE.families(
            "train_intermediate", GRID.recipe(wildcards.intermediate).tasks
        ),
    script:
        "../workflow_scripts/train_intermediate.py"


rule train_target:
    input:
        checkpoint=lambda wildcards: paths.checkpoint(
            paths.intermediate_folder(
                wildcards.model, wildcards.intermediate, wildcards.seed
            )
        ),
        tokenizer=TOKENIZER,
        data=lambda wildcards: training_files(
            wildcards.model, wildcards.tuned.split("+")
        ),
    output:
        [
            kept(
                f"results/tuned/{{model}}/{{intermediate}}/{{tuned}}/seed{{seed}}/{name}"
            )
            for name in paths.TRAINED
        ],
    log:
        "logs/tuned/{model}/{intermediate}/{tuned}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train_target/{model}/{intermediate}/{tuned}/seed{seed}.tsv"
    conda:
        "../envs/training.yaml"
    threads: compute_threads
    resources:
        gpu=1,
        mem_mb=training_memory("target", lambda wildcards: wildcards.tuned.split("+")),
        runtime=training_minutes("target", lambda wildcards: wildcards.tuned.split("+")),
        # State for a resumed run; 0 saves none. Changes no result, so it is no parameter.
        save_seconds=600,
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        tasks=lambda wildcards: training_params(
            "target", wildcards.model, wildcards.tuned.split("+")
        ),
        code=lambda wildcards: CODE.families("train_target", wildcards.tuned.split("+")),
    script:
        "../workflow_scripts/train_target.py"
