"""Fine-tuning: first on a row's recipe, then on a target's training tasks."""


rule train_intermediate:
    input:
        backbone=lambda wildcards: INPUTS.first_checkpoint(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        tokenizer=TOKENIZER,
        data=lambda wildcards: INPUTS.training(
            wildcards.model, INPUTS.row_data(wildcards.intermediate)
        ),
        more=lambda wildcards: INPUTS.beside_tasks(
            wildcards.model, wildcards.intermediate
        ),
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
    threads: lambda wildcards: NEEDS.threads(wildcards.model)
    resources:
        **training_needs(
            "intermediate", lambda wildcards: GRID.recipe(wildcards.intermediate).tasks
        ),
        # Seconds between saved states; 0 saves none. It changes no result, so it is not a param.
        **TRACKED,
        gpu=1,
        save_seconds=600,
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        recipe=lambda wildcards: PARAMS.recipe(wildcards.model, wildcards.intermediate),
        tasks=lambda wildcards: PARAMS.row_tasks(
            wildcards.model, wildcards.intermediate
        ),
        settings=lambda wildcards: PARAMS.row_settings(wildcards.intermediate),
        code=lambda wildcards: CODE.families(
            "train_intermediate", GRID.recipe(wildcards.intermediate).tasks
        ),
    script:
        "../workflow_scripts/train_intermediate.py"


rule train_target:
    input:
        checkpoint=lambda wildcards: INPUTS.row_checkpoint(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        tokenizer=TOKENIZER,
        data=lambda wildcards: INPUTS.training(
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
    threads: lambda wildcards: NEEDS.threads(wildcards.model)
    resources:
        **training_needs("target", lambda wildcards: wildcards.tuned.split("+")),
        # Seconds between saved states; 0 saves none. It changes no result, so it is not a param.
        **TRACKED,
        gpu=1,
        save_seconds=600,
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        tasks=lambda wildcards: PARAMS.target_tasks(
            wildcards.model, wildcards.intermediate, wildcards.tuned
        ),
        code=lambda wildcards: CODE.families("train_target", wildcards.tuned.split("+")),
    script:
        "../workflow_scripts/train_target.py"
