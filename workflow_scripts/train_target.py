"""A tuned model: an intermediate checkpoint fine-tuned on a target's training tasks, with its head."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.training.job import script_job
    from stiltgrid.training.resume import job_state_saver
    from stiltgrid.training.training import train_target

    paths, job = script_job(snakemake, snakemake.input.checkpoint[0])
    train_target(paths, job, job_state_saver(snakemake))


run(main, snakemake, together=True)  # noqa: F821
