"""A model's pickled weights as safetensors, once, for `convert: true`."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.grid import Model
    from stiltgrid.preparation.conversion import convert_model

    convert_model(Model(snakemake.wildcards.model, **snakemake.params.model), snakemake.output[0])


run(main, snakemake, network=True)  # noqa: F821
