"""The score in English against the mean of the other languages."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.plots import plot_english_and_zero_shot

    plot_english_and_zero_shot(snakemake.input[0], layout_from_params(snakemake.params.layout), snakemake.output)


run(main, snakemake)  # noqa: F821
