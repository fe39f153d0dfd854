"""XTREME's and XTREME-R's own averages: per task, per group and overall."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.layout import layout_from_params
    from stiltgrid.official import write_official

    params = snakemake.params
    write_official(snakemake.input[0], layout_from_params(params.layout), params.languages, snakemake.output[0])


run(main, snakemake)  # noqa: F821
