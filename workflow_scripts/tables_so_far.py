"""Tables, plots and the summary of the cells that are finished."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid.config.loading import load_grid
    from stiltgrid.workflow.so_far import tables_so_far

    asked = snakemake.params
    root = Path(snakemake.scriptdir).parent
    grid = load_grid(snakemake.config, root, asked.configfiles)
    sys.stdout.write(tables_so_far(grid, root / "Snakefile", asked.overlays, asked.settings, asked.triggers))


run(main, snakemake)  # noqa: F821
