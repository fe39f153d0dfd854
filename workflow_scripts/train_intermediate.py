"""One row of the grid: a backbone fine-tuned on its recipe."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.training.job import script_job
    from stiltgrid.training.resume import job_state_saver
    from stiltgrid.training.training import train_intermediate

    paths, job = script_job(snakemake, snakemake.input.backbone[0])
    train_intermediate(paths, job, snakemake.params.recipe, snakemake.params.settings, job_state_saver(snakemake))


run(main, snakemake, together=True)  # noqa: F821
