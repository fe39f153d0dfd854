"""One target's gains by language and intermediate."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.layout import layout_from_params
    from stiltgrid.plots import plot_languages

    layout = layout_from_params(snakemake.params.layout)
    plot_languages(snakemake.input[0], layout, snakemake.wildcards.target, snakemake.output)


run(main, snakemake)  # noqa: F821
