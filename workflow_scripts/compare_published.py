"""Our scores beside published figures of the same backbones."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.layout import layout_from_params
    from stiltgrid.published import write_published

    params = snakemake.params
    layout = layout_from_params(params.layout)
    write_published(snakemake.input[0], layout, params.hubs, params.languages, snakemake.output[0])


run(main, snakemake)  # noqa: F821
