"""The transfer matrix: intermediates by targets, gains over the row `none`."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.layout import layout_from_params
    from stiltgrid.plots import plot_transfer_matrix

    plot_transfer_matrix(snakemake.input[0], layout_from_params(snakemake.params.layout), snakemake.output)


run(main, snakemake)  # noqa: F821
