"""A subword tokenizer trained on raw text."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.preparation.tokenizers import train_tokenizer

    train_tokenizer(snakemake.input[0], snakemake.params.tokenizer, Path(snakemake.output[0]).parent)


run(main, snakemake)  # noqa: F821
