"""Our scores beside published figures of the same backbones."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.analysis.published import write_published
    from stiltgrid.grid.layout import layout_from_params

    params = snakemake.params
    layout = layout_from_params(params.layout)
    write_published(snakemake.input[0], layout, params.hubs, params.languages, snakemake.output[0])


run(main, snakemake)  # noqa: F821
