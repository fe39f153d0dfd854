"""The transfer matrix: intermediates by targets, gains over the row `none`."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.best_rows import read_best_rows
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.plots import plot_transfer_matrix

    layout = layout_from_params(snakemake.params.layout)
    plot_transfer_matrix(snakemake.input.scores, layout, snakemake.output, read_best_rows(snakemake.input.best))


run(main, snakemake)  # noqa: F821
