"""Zero-shot scores: all languages and splits of a target in one job."""


rule score_target:
    input:
        checkpoint=lambda wildcards: INPUTS.scored_checkpoint(
            wildcards.model,
            wildcards.intermediate,
            wildcards.target,
            wildcards.seed,
        ),
        tokenizer=TOKENIZER,
        encoded=rules.encode_eval.output,
        rows=rules.prepare_eval.output,
    output:
        metrics="results/scores/{model}/{intermediate}/{target}/seed{seed}/metrics.json",
        predictions="results/scores/{model}/{intermediate}/{target}/seed{seed}/predictions.parquet",
    log:
        "logs/scores/{model}/{intermediate}/{target}/seed{seed}.log",
    benchmark:
        "results/benchmarks/score_target/{model}/{intermediate}/{target}/seed{seed}.tsv"
    conda:
        "../envs/training.yaml"
    threads: lambda wildcards: NEEDS.threads(wildcards.model)
    resources:
        gpu=1,
        mem_mb=lambda wildcards, input, attempt: NEEDS.scoring_mb(input, attempt),
        runtime=lambda wildcards, input, attempt: NEEDS.scoring_minutes(input, attempt),
    params:
        model=lambda wildcards: model_view(GRID.models[wildcards.model], "score"),
        target=lambda wildcards: PARAMS.scored_card(wildcards.target),
        head=lambda wildcards: PARAMS.head_card(wildcards.target),
        batch_tokens=lambda wildcards: GRID.evaluation_for(
            wildcards.target
        ).batch_tokens,
        precision=lambda wildcards: PARAMS.scoring_precision(wildcards.target),
        origin=lambda wildcards: PARAMS.model_origin(wildcards.model),
        code=lambda wildcards: CODE.families(
            "score_target",
            [wildcards.target, *GRID.cards[wildcards.target].train[-1:]],
        ),
    script:
        "../workflow_scripts/score_target.py"
