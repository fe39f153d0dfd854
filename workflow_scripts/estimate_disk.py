"""Tables of what takes space, now and at the most."""

from stiltgrid.warm import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid import estimate_disk
    from stiltgrid.door import load_grid

    grid = load_grid(snakemake.config, Path(snakemake.scriptdir).parent, snakemake.params.configfiles)
    sys.stdout.write(estimate_disk.report(grid, Path("results"), snakemake.params.jobs))


run(main, snakemake)  # noqa: F821
