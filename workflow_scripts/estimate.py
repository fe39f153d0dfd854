"""What the grid will take: jobs, tokens, hours, disk."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid.config.loading import load_grid
    from stiltgrid.data.sources import open_source
    from stiltgrid.preparation.data_sizes import DataSizes
    from stiltgrid.workflow import estimate
    from stiltgrid.workflow.dry_run import planned_jobs

    asked = snakemake.params
    root = Path(snakemake.scriptdir).parent
    grid = load_grid(snakemake.config, root, asked.configfiles)
    # The hub would need the network.
    source = None if grid.source == "hub" else open_source(grid.source, asked.data_dir, grid.world)
    results = Path("results")
    jobs = planned_jobs(root / "Snakefile", asked.overlays, asked.settings)
    sys.stdout.write(estimate.report(grid, jobs, DataSizes(grid, results, source), results, asked.jobs))


run(main, snakemake)  # noqa: F821
