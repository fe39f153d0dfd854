"""A plot of our scores beside published figures."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.plots_published import plot_published

    params = snakemake.params
    layout = layout_from_params(params.layout)
    plot_published(snakemake.input[0], layout, params.hubs, params.languages, snakemake.output)


run(main, snakemake)  # noqa: F821
