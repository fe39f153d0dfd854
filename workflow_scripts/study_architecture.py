"""Study 2, architecture: tables, plot and summary."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.studies.architecture import GridFacts, write_study

    source, params = snakemake.input, snakemake.params
    predictions = dict(zip(map(tuple, params.cells), source.predictions, strict=True))
    layout = layout_from_params(params.layout)
    facts = GridFacts(params.families, params.kinds, predictions)
    write_study(source.scores, layout, facts, params.section, snakemake.output)


run(main, snakemake)  # noqa: F821
