"""The transfer matrix as a LaTeX table."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.best_rows import read_best_rows
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.latex import write_latex

    layout = layout_from_params(snakemake.params.layout)
    write_latex(snakemake.input.scores, layout, snakemake.output[0], read_best_rows(snakemake.input.best))


run(main, snakemake)  # noqa: F821
