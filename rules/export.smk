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
        expand(
            "results/exports/checkpoints/{model}/{intermediate}/seed{seed}",
            model=GRID.own_models,
            intermediate=[name for name in GRID.intermediates if name != NONE],
            seed=GRID.seeds,
        ),


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
            "training.json",
        ),
        tokenizer=TOKENIZER,
        scores=rules.collect_scores.output[0],
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
