"""The best row of each target: chosen on development data, reported on test data."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.selection import write_best_rows
    from stiltgrid.grid.layout import layout_from_params

    source, params = snakemake.input, snakemake.params
    predictions = {tuple(cell): path for cell, path in zip(params.cells, source.predictions, strict=True)}
    write_best_rows(source.scores, layout_from_params(params.layout), params.families, predictions, *snakemake.output)


run(main, snakemake)  # noqa: F821
