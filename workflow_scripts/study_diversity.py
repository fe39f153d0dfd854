"""Study 3, diversity against volume: tables, plot and summary."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.studies.diversity import write_study

    layout = layout_from_params(snakemake.params.layout)
    write_study(snakemake.input.scores, snakemake.input.records, layout, snakemake.params.section, snakemake.output)


run(main, snakemake)  # noqa: F821
