"""Gains over `none` with intervals and p-values, a line a cell and a line a language."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.layout import layout_from_params
    from stiltgrid.significance import write_significance

    source, params = snakemake.input, snakemake.params
    predictions = {tuple(cell): path for cell, path in zip(params.cells, source.predictions, strict=True)}
    write_significance(
        source.scores, layout_from_params(params.layout), params.families, predictions, *snakemake.output
    )


run(main, snakemake)  # noqa: F821
