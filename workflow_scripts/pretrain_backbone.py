"""A language model trained on raw text from random weights."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.training.pretraining import train_language_model
    from stiltgrid.training.resume import job_keeper

    tokenizer, out = Path(snakemake.input.tokenizer[0]).parent, Path(snakemake.output[0]).parent
    text, params = snakemake.input.text[0], snakemake.params
    provenance = {"code": params.code}
    train_language_model(text, tokenizer, params.pretrain, out, snakemake.threads, provenance, job_keeper(snakemake))


run(main, snakemake)  # noqa: F821
