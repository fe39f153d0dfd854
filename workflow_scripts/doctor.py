"""A report about this machine."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid.config.loading import load_grid
    from stiltgrid.data.sources import open_source
    from stiltgrid.workflow.doctor import examine
    from stiltgrid.workflow.findings import screen

    grid = load_grid(snakemake.config, Path(snakemake.scriptdir).parent, snakemake.params.configfiles)
    source = open_source(grid.source, snakemake.params.data_dir, grid.world)
    sys.stdout.write(screen(examine(grid, source)))


run(main, snakemake, network=True)  # noqa: F821
