"""A task's Fisher embedding from a model tuned on it; a row's head is fitted anew."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.task_embedding import embed_fisher

    source, params = snakemake.input, snakemake.params
    embed_fisher(
        checkpoint_dir=Path(source.checkpoint[0]).parent,
        tokenizer_dir=Path(source.tokenizer[0]).parent,
        model=params.model,
        card=params.card,
        encoded_path=source.encoded,
        examples=params.examples,
        precision="auto",
        seed=params.seed,
        threads=snakemake.threads,
        has_head=snakemake.wildcards.kind == "target",
        out=snakemake.output[0],
    )


run(main, snakemake)  # noqa: F821
