"""The transfer gap and worst language of every cell, and means by language family and script."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.language_groups import write_gaps
    from stiltgrid.grid.layout import layout_from_params

    write_gaps(snakemake.input[0], layout_from_params(snakemake.params.layout), *snakemake.output)


run(main, snakemake)  # noqa: F821
