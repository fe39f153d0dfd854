"""The tasks of study 4 ranked by their English development scores."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.studies.ranked_tasks import rank_tasks

    params = snakemake.params
    rank_tasks(snakemake.input, params.tasks, snakemake.output[0], synthetic=params.synthetic)


run(main, snakemake)  # noqa: F821
