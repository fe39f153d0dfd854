"""Study 1, similarity: tables, plot and summary."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.studies.similarity import write_study

    source, params = snakemake.input, snakemake.params
    layout = layout_from_params(params.layout)
    write_study(
        source.scores, source.records, layout, params.vectors, params.families, params.section, snakemake.output
    )


run(main, snakemake)  # noqa: F821
