"""A task's vector by its text, its sentences or its pieces."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.task_embedding import embed_task

    source, params = snakemake.input, snakemake.params
    embed_task(
        measure=snakemake.wildcards.measure,
        backbone_dir=Path(source.checkpoint[0]).parent,
        tokenizer_dir=Path(source.tokenizer[0]).parent,
        model=params.model,
        encoded_path=source.encoded,
        rows_path=source.rows,
        examples=params.examples,
        batch_tokens=params.batch_tokens,
        precision="auto",
        threads=snakemake.threads,
        out=snakemake.output[0],
    )


run(main, snakemake)  # noqa: F821
