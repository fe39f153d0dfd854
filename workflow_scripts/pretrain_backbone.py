"""A language model trained on raw text from random weights."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.training.pretraining import PretrainingPaths, train_language_model
    from stiltgrid.training.resume import job_state_saver

    tokenizer, out = Path(snakemake.input.tokenizer[0]).parent, Path(snakemake.output[0]).parent
    paths, params = PretrainingPaths(snakemake.input.text[0], tokenizer, out), snakemake.params
    saver = job_state_saver(snakemake)
    train_language_model(paths, params.pretrain, snakemake.threads, {"code": params.code}, saver)


run(main, snakemake)  # noqa: F821
