"""Tables of the disk space that is used now, and of the most that is needed."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid.config.loading import load_grid
    from stiltgrid.workflow import estimate_disk

    grid = load_grid(snakemake.config, Path(snakemake.scriptdir).parent, snakemake.params.configfiles)
    sys.stdout.write(estimate_disk.report(grid, Path("results"), snakemake.params.jobs))


run(main, snakemake)  # noqa: F821
