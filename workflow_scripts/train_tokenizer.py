"""A subword tokenizer trained on raw text."""

from stiltgrid.warm import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.pretraining import train_tokenizer

    train_tokenizer(snakemake.input[0], snakemake.params.tokenizer, Path(snakemake.output[0]).parent)


run(main, snakemake)  # noqa: F821
