"""A folder for machines without internet: rows and models of the configuration, from the hub."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.config.loading import load_grid
    from stiltgrid.preparation.mirror import mirror
    from stiltgrid.utils.errors import ConfigError

    grid = load_grid(snakemake.config, Path(snakemake.scriptdir).parent)
    if grid.source != "hub" or snakemake.params.folder is None:
        raise ConfigError(["a mirror is filled from `source: hub` into the folder that `data_dir` names"])
    mirror(grid, snakemake.params.folder)


run(main, snakemake, network=True)  # noqa: F821
