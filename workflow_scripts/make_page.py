"""The results page: matrix, languages, examples, curves and tables in one HTML file."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.page.page import PageFiles, TrainingLog, write_page
    from stiltgrid.workflow.page_job import selection_answer

    source, params = snakemake.input, snakemake.params
    layout = layout_from_params(params.layout)
    files = PageFiles(
        tables=Path(source.scores).parent,
        predictions={tuple(cell): path for cell, path in zip(params.cells, source.predictions, strict=True)},
        rows={column.target: path for column, path in zip(layout.columns, source.rows, strict=True)},
        logs=[TrainingLog(*line) for line in params.logs],
        selection=selection_answer() or None,
    )
    write_page(layout, files, params.facts, snakemake.output[0])


run(main, snakemake)  # noqa: F821
