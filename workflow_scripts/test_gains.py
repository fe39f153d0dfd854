"""Gains over `none` with intervals and p-values, by cell and by language."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.significance import write_significance
    from stiltgrid.grid.layout import layout_from_params

    source, params = snakemake.input, snakemake.params
    predictions = {tuple(cell): path for cell, path in zip(params.cells, source.predictions, strict=True)}
    write_significance(
        source.scores, layout_from_params(params.layout), params.families, predictions, *snakemake.output
    )


run(main, snakemake)  # noqa: F821
