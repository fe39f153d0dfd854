"""The scores of all cells as one tidy table."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.tables import collect_scores

    collect_scores(snakemake.input.cells, snakemake.output[0], synthetic=snakemake.params.synthetic)


run(main, snakemake)  # noqa: F821
