"""Study 4, how many tasks: tables, plot and summary."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.studies.how_many import write_study

    files, params = snakemake.input, snakemake.params
    write_study(files.scores, files.ranking, layout_from_params(params.layout), params.section, snakemake.output)


run(main, snakemake)  # noqa: F821
