"""Ranks of every query of a retrieval task, before or after retrieval training."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.query_ranks import rank_queries

    source, params = snakemake.input, snakemake.params
    rank_queries(
        checkpoint_dir=Path(source.checkpoint[0]).parent,
        tokenizer_dir=Path(source.tokenizer[0]).parent,
        model=params.model,
        card=params.card,
        encoded_path=source.encoded,
        rows_path=source.rows,
        tuned=snakemake.wildcards.phase == "after",
        batch_tokens=params.batch_tokens,
        precision="auto",
        threads=snakemake.threads,
        out=snakemake.output[0],
    )


run(main, snakemake)  # noqa: F821
