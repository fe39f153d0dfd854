"""The score in English against the mean of the other languages."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.layout import layout_from_params
    from stiltgrid.plots import plot_english_and_zero_shot

    plot_english_and_zero_shot(snakemake.input[0], layout_from_params(snakemake.params.layout), snakemake.output)


run(main, snakemake)  # noqa: F821
