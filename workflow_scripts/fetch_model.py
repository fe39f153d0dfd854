"""A model's tokenizer and backbone from the hub, at a pinned revision, or from a folder."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.grid.grid import Model
    from stiltgrid.preparation.models import fetch_model

    folder = Path(snakemake.output.backbone[0]).parents[1]
    fetch_model(Model(snakemake.wildcards.model, **snakemake.params.model), folder, snakemake.params.mirror)


run(main, snakemake, network=True)  # noqa: F821
