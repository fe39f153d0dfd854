"""One target's gains by language and intermediate."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.plots import plot_languages

    layout = layout_from_params(snakemake.params.layout)
    plot_languages(snakemake.input[0], layout, snakemake.wildcards.target, snakemake.output)


run(main, snakemake)  # noqa: F821
