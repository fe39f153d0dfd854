"""Scores and predictions of one cell, all languages at once."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.scoring import score_target

    source, params, cell = snakemake.input, snakemake.params, dict(snakemake.wildcards.items())
    score_target(
        checkpoint_dir=Path(source.checkpoint[0]).parent,
        tokenizer_dir=Path(source.tokenizer[0]).parent,
        model=params.model,
        target=params.target,
        head_card=params.head,
        eval_arrow=source.encoded[0],
        eval_rows=source.rows[0],
        evaluation={"batch_tokens": params.batch_tokens},
        cell={**cell, "seed": int(cell["seed"])},
        threads=snakemake.threads,
        metrics_path=snakemake.output.metrics,
        predictions_path=snakemake.output.predictions,
        provenance={"code": params.code, "backbone": params.origin},
        precision=params.precision,
    )


run(main, snakemake)  # noqa: F821
