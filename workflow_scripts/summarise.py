"""The last words of a run: the best row of each target, and where everything is."""

from stiltgrid.warm import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.layout import layout_from_params
    from stiltgrid.summary import write_summary

    source = snakemake.input
    places = {
        "matrix": source.matrix[0],
        "languages": str(Path(source.languages[0]).parent),
        "English and zero-shot": source.english[0],
        "table": source.tables[0],
        "table by language": source.tables[1],
        "every number": source.scores[0],
    }
    write_summary(source.scores, layout_from_params(snakemake.params.layout), places, snakemake.output[0])


run(main, snakemake)  # noqa: F821
