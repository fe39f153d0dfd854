"""The language model's head of a fetched checkpoint."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.grid.grid import Model
    from stiltgrid.training.language_heads import fetch_language_head

    model = Model(snakemake.wildcards.model, **snakemake.params.model)
    fetch_language_head(model, snakemake.output[0], snakemake.params.mirror)


run(main, snakemake, network=True)  # noqa: F821
