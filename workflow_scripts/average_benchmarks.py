"""XTREME's and XTREME-R's own averages: per task, per group and overall."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.official import write_official
    from stiltgrid.grid.layout import layout_from_params

    params = snakemake.params
    write_official(snakemake.input[0], layout_from_params(params.layout), params.languages, snakemake.output[0])


run(main, snakemake)  # noqa: F821
