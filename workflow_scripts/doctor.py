"""One screen about this machine."""

from stiltgrid.warm import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid import doctor
    from stiltgrid.door import load_grid
    from stiltgrid.sources import open_source

    grid = load_grid(snakemake.config, Path(snakemake.scriptdir).parent, snakemake.params.configfiles)
    source = open_source(grid.source, snakemake.params.data_dir, grid.world)
    sys.stdout.write(doctor.screen(doctor.examine(grid, source)))


run(main, snakemake)  # noqa: F821
