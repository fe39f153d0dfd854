"""The tasks of study 4 ranked by their English development scores."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.studies.ranked_tasks import rank_tasks

    rank_tasks(snakemake.input, snakemake.params.tasks, snakemake.output[0])


run(main, snakemake)  # noqa: F821
