"""The summary that a run prints: the best row of each target, and paths of the results."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.summary import write_summary

    source = snakemake.input
    places = {
        "page": source.page,
        "matrix": source.matrix[0],
        "languages": str(Path(source.languages[0]).parent),
        "English and zero-shot": source.english[0],
        "table": source.tables[0],
        "table by language": source.tables[1],
        "best rows": source.best,
        "every number": source.scores[0],
    }
    layout = layout_from_params(snakemake.params.layout)
    write_summary(source.scores, layout, places, snakemake.output[0], source.best)


run(main, snakemake)  # noqa: F821
