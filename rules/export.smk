"""What leaves the grid: submission folders for XTREME's evaluate.py, and checkpoints as Hugging Face folders.

`snakemake export_xtreme` and `export_xtreme_r` take each task's best row on development data. Any other folder is a
path: results/exports/{xtreme|xtreme_r}[_partial]/{model}/{row}/seed{seed}, with a row's name in place of `best`.
"""


localrules:
    export_xtreme,
    export_xtreme_r,
    export_checkpoints,
    export_benchmark,
    export_checkpoint,
    push_checkpoints,
    push_checkpoint,


rule export_xtreme:
    input:
        expand(
            "results/exports/xtreme/{model}/best/seed{seed}",
            model=GRID.own_models,
            seed=GRID.seeds[:1],
        ),


rule export_xtreme_r:
    input:
        expand(
            "results/exports/xtreme_r/{model}/best/seed{seed}",
            model=GRID.own_models,
            seed=GRID.seeds[:1],
        ),


rule export_checkpoints:
    input:
        EXPORTS.folders,


rule export_benchmark:
    input:
        scores=rules.collect_scores.output[0],
        rows=lambda wildcards: EXPORTS.evaluation_rows(
            wildcards.benchmark, wildcards.row
        ),
        predictions=lambda wildcards: EXPORTS.predictions(**wildcards),
    output:
        directory("results/exports/{benchmark}/{model}/{row}/seed{seed}"),
    log:
        "logs/exports/{benchmark}/{model}/{row}/seed{seed}.log",
    wildcard_constraints:
        benchmark="xtreme(_r)?(_partial)?",
        row="[a-z0-9_+]+",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        parts=lambda wildcards: EXPORTS.parts(**wildcards),
        code=lambda wildcards: CODE.plain("export_benchmark"),
    script:
        "../workflow_scripts/export_benchmark.py"


rule export_checkpoint:
    input:
        checkpoint=multiext(
            "results/intermediate/{model}/{intermediate}/seed{seed}/",
            "config.json",
            "model.safetensors",
        ),
        logs=lambda wildcards: EXPORTS.logs(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        tokenizer=TOKENIZER,
        scores=rules.collect_scores.output[0],
        significance=rules.test_gains.output[0],
    output:
        directory("results/exports/checkpoints/{model}/{intermediate}/seed{seed}"),
    log:
        "logs/exports/checkpoints/{model}/{intermediate}/seed{seed}.log",
    conda:
        "../envs/analysis.yaml"
    params:
        layout=as_params(LAYOUT),
        facts=lambda wildcards: EXPORTS.checkpoint_facts(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        code=lambda wildcards: CODE.plain("export_checkpoint"),
    script:
        "../workflow_scripts/export_checkpoint.py"


rule export_tuned:
    input:
        checkpoint=multiext(
            "results/tuned/{model}/{intermediate}/{tuned}/seed{seed}/",
            "config.json",
            "model.safetensors",
        ),
        logs=lambda wildcards: [
            *EXPORTS.logs(wildcards.model, wildcards.intermediate, wildcards.seed),
            "results/tuned/{model}/{intermediate}/{tuned}/seed{seed}/training.json",
        ],
        tokenizer=TOKENIZER,
        encoded=lambda wildcards: [
            f"results/encoded/{wildcards.model}/{EXPORTS.tuned_target(wildcards.tuned)}/eval.arrow"
        ],
        rows=lambda wildcards: [
            f"results/data/{EXPORTS.tuned_target(wildcards.tuned)}/eval.parquet"
        ],
        scores=rules.collect_scores.output[0],
        significance=rules.test_gains.output[0],
    output:
        directory("results/exports/tuned/{model}/{intermediate}/{tuned}/seed{seed}"),
    log:
        "logs/exports/tuned/{model}/{intermediate}/{tuned}/seed{seed}.log",
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: NEEDS.scoring_mb(
            input.checkpoint, attempt
        ),
    params:
        layout=as_params(LAYOUT),
        reading=lambda wildcards: EXPORTS.reading(
            wildcards.model, EXPORTS.tuned_target(wildcards.tuned)
        ),
        facts=lambda wildcards: EXPORTS.tuned_facts(
            wildcards.model, wildcards.intermediate, wildcards.tuned, wildcards.seed
        ),
        code=lambda wildcards: CODE.families("export_tuned", wildcards.tuned.split("+")),
    script:
        "../workflow_scripts/export_tuned.py"


rule export_sentences:
    input:
        checkpoint=lambda wildcards: INPUTS.row_checkpoint(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        logs=lambda wildcards: EXPORTS.logs(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        tokenizer=TOKENIZER,
        encoded=lambda wildcards: [
            f"results/encoded/{wildcards.model}/{EXPORTS.vector_target()}/eval.arrow"
        ],
        rows=lambda wildcards: [f"results/data/{EXPORTS.vector_target()}/eval.parquet"],
        scores=rules.collect_scores.output[0],
        significance=rules.test_gains.output[0],
    output:
        directory("results/exports/sentences/{model}/{intermediate}/seed{seed}"),
    log:
        "logs/exports/sentences/{model}/{intermediate}/seed{seed}.log",
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: NEEDS.scoring_mb(
            input.checkpoint, attempt
        ),
    params:
        layout=as_params(LAYOUT),
        reading=lambda wildcards: EXPORTS.reading(
            wildcards.model, EXPORTS.vector_target()
        ),
        facts=lambda wildcards: EXPORTS.vector_facts(
            wildcards.model, wildcards.intermediate, wildcards.seed
        ),
        code=lambda wildcards: CODE.families(
            "export_sentences", [EXPORTS.vector_target()]
        ),
    script:
        "../workflow_scripts/export_sentences.py"


rule push_checkpoints:
    # Asked for by name only; nothing else uploads anything.
    input:
        lambda wildcards: EXPORTS.pushed(with_token=not workflow.dryrun),


rule push_checkpoint:
    input:
        "results/exports/{exported}",
    output:
        "results/exports/pushed/{exported}.json",
    log:
        "logs/exports/pushed/{exported}.log",
    wildcard_constraints:
        exported="(checkpoints|tuned|sentences)/.+/seed[0-9]+",
    conda:
        "../envs/data.yaml"
    params:
        repository=lambda wildcards: EXPORTS.repository(wildcards.exported),
        private=lambda wildcards: EXPORTS.push_settings().private,
        code=lambda wildcards: CODE.plain("push_checkpoint"),
    script:
        "../workflow_scripts/push_checkpoint.py"
