"""A tuned model: an intermediate checkpoint fine-tuned on a target's training tasks, with its head."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.training.resume import job_keeper
    from stiltgrid.training.training import train_target

    params = snakemake.params
    train_target(
        Path(snakemake.input.checkpoint[0]).parent,
        Path(snakemake.input.tokenizer[0]).parent,
        params.tasks,
        params.model,
        int(snakemake.wildcards.seed),
        snakemake.threads,
        Path(snakemake.output[0]).parent,
        {"code": params.code},
        job_keeper(snakemake),
    )


run(main, snakemake, together=True)  # noqa: F821
