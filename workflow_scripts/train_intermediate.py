"""One row of the grid: a backbone fine-tuned on its recipe."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.training.resume import job_keeper
    from stiltgrid.training.training import train_intermediate

    params = snakemake.params
    train_intermediate(
        Path(snakemake.input.backbone[0]).parent,
        Path(snakemake.input.tokenizer[0]).parent,
        params.recipe,
        params.tasks,
        params.model,
        int(snakemake.wildcards.seed),
        snakemake.threads,
        Path(snakemake.output[0]).parent,
        {"code": params.code},
        params.settings,
        job_keeper(snakemake),
    )


run(main, snakemake, together=True)  # noqa: F821
