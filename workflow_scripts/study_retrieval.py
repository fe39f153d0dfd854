"""Study 5, question answering for retrieval: contrasts, plot and summary."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.studies.retrieval import write_study

    source, params = snakemake.input, snakemake.params
    ranks = dict(zip(map(tuple, params.cells), source.ranks, strict=True))
    write_study(layout_from_params(params.layout), params.groups, ranks, params.trained_on, snakemake.output)


run(main, snakemake)  # noqa: F821
