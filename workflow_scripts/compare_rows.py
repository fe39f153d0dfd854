"""Scores and gains over the row `none`, by cell and by language."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.tables import write_transfer
    from stiltgrid.grid.layout import layout_from_params

    layout = layout_from_params(snakemake.params.layout)
    write_transfer(snakemake.input[0], layout, snakemake.output.transfer, snakemake.output.by_language)


run(main, snakemake)  # noqa: F821
