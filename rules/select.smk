"""`snakemake select`: each target's row within a budget. It does not belong to `all`.

Each round is a checkpoint: its table names the cells to run, chosen by the development scores of the rounds before.
Cells of full fidelity are the grid's own, so its rules make them and nothing is trained twice; those of low fidelity
have places of their own below results/selection.
"""


# Seconds: on a cluster they run on the login node.
localrules:
    propose_cells,
    choose_rows,
    select,


rule select:
    input:
        "results/selection/summary.md",
        unfinished.outputs(GRID, unfinished.SELECTION),


checkpoint propose_cells:
    input:
        data=lambda wildcards: SELECTION.data(),
        priors=lambda wildcards: SELECTION.priors(),
        rounds=lambda wildcards: SELECTION.tables(
            checkpoints.propose_cells, int(wildcards.round)
        ),
        cells=lambda wildcards: SELECTION.files(
            SELECTION.tables(checkpoints.propose_cells, int(wildcards.round))
        ),
    output:
        report(
            "results/selection/round{round}.tsv",
            caption="../report/selection.rst",
            category="Selection",
            labels={"table": "cells", "round": "{round}"},
        ),
    log:
        "logs/selection/round{round}.log",
    wildcard_constraints:
        round="[0-9]",
    conda:
        "../envs/training.yaml"
    params:
        settings=lambda wildcards: SELECTION.settings(),
        data_dir=DATA_DIR,
        configfiles=workflow.configfiles,
        code=lambda wildcards: CODE.plain("propose_cells"),
    script:
        "../workflow_scripts/propose_cells.py"


rule choose_rows:
    input:
        priors=lambda wildcards: SELECTION.priors(),
        rounds=lambda wildcards: SELECTION.tables(
            checkpoints.propose_cells, SELECTION.rounds
        ),
        cells=lambda wildcards: SELECTION.files(
            SELECTION.tables(checkpoints.propose_cells, SELECTION.rounds)
        ),
    output:
        table=report(
            "results/selection/selection.tsv",
            caption="../report/selection.rst",
            category="Selection",
            labels={"table": "chosen rows", "round": "all"},
        ),
        summary=report(
            "results/selection/summary.md",
            caption="../report/selection.rst",
            category="Selection",
            labels={"table": "summary", "round": "all"},
        ),
    log:
        "logs/selection/choose_rows.log",
    conda:
        "../envs/training.yaml"
    params:
        settings=lambda wildcards: SELECTION.settings(),
        data_dir=DATA_DIR,
        configfiles=workflow.configfiles,
        code=lambda wildcards: CODE.plain("choose_rows"),
    script:
        "../workflow_scripts/choose_rows.py"


use rule train_intermediate as train_intermediate_low with:
    output:
        multiext(
            "results/selection/intermediate/{model}/{intermediate}/seed{seed}/",
            *paths.TRAINED,
        ),
    log:
        "logs/selection/intermediate/{model}/{intermediate}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train_intermediate_low/{model}/{intermediate}/seed{seed}.tsv"
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        recipe=lambda wildcards: PARAMS.recipe(wildcards.model, wildcards.intermediate),
        tasks=lambda wildcards: SELECTION.low_params().row_tasks(
            wildcards.model, wildcards.intermediate
        ),
        settings=lambda wildcards: SELECTION.low_params().row_settings(
            wildcards.intermediate
        ),
        code=lambda wildcards: CODE.families(
            "train_intermediate", GRID.recipe(wildcards.intermediate).tasks
        ),


use rule train_target as train_target_low with:
    input:
        checkpoint=lambda wildcards: SELECTION.low_row_checkpoint(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        tokenizer=TOKENIZER,
        data=lambda wildcards: INPUTS.training(
            wildcards.model, wildcards.tuned.split("+")
        ),
    output:
        multiext(
            "results/selection/tuned/{model}/{intermediate}/{tuned}/seed{seed}/",
            *paths.TRAINED,
        ),
    log:
        "logs/selection/tuned/{model}/{intermediate}/{tuned}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train_target_low/{model}/{intermediate}/{tuned}/seed{seed}.tsv"
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "train"),
        tasks=lambda wildcards: SELECTION.low_params().training(
            "target", wildcards.model, wildcards.tuned.split("+")
        ),
        code=lambda wildcards: CODE.families("train_target", wildcards.tuned.split("+")),


use rule score_target as score_target_low with:
    input:
        checkpoint=lambda wildcards: SELECTION.low_scored_checkpoint(
            wildcards.model,
            wildcards.intermediate,
            wildcards.target,
            wildcards.seed,
        ),
        tokenizer=TOKENIZER,
        encoded=rules.encode_eval.output,
        rows=rules.prepare_eval.output,
    output:
        metrics="results/selection/scores/{model}/{intermediate}/{target}/seed{seed}/metrics.json",
        predictions="results/selection/scores/{model}/{intermediate}/{target}/seed{seed}/predictions.parquet",
    log:
        "logs/selection/scores/{model}/{intermediate}/{target}/seed{seed}.log",
    benchmark:
        "results/benchmarks/score_target_low/{model}/{intermediate}/{target}/seed{seed}.tsv"
