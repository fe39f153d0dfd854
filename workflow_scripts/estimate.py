"""What the grid will take: jobs, tokens, hours, disk."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid.config.loading import load_grid
    from stiltgrid.config.size_loading import read_sizes
    from stiltgrid.data.sources import open_source
    from stiltgrid.preparation.data_sizes import DataSizes
    from stiltgrid.workflow import estimate_report
    from stiltgrid.workflow.dry_run import planned_jobs
    from stiltgrid.workflow.speeds import device_kind

    asked = snakemake.params
    root = Path(snakemake.scriptdir).parent
    grid = load_grid(snakemake.config, root, asked.configfiles)
    cards = read_sizes(snakemake.config, root, asked.configfiles)
    # The hub would need the network; the user's own data beside it is in `data_dir`.
    kind = "local" if grid.source == "hub" else grid.source
    source = open_source(kind, asked.data_dir, grid.world) if asked.data_dir or kind != "local" else None
    folders = {name: Path(folder) for name, folder in asked.folders.items() if folder}
    results = Path("results")
    jobs = planned_jobs(root / "Snakefile", asked.overlays, asked.settings, triggers=asked.triggers)
    done = estimate_report.finished(grid, jobs)
    sizes = DataSizes(grid, results, source, cards, folders)
    device = device_kind(grid.estimate.get("device"))
    sys.stdout.write(estimate_report.report(grid, jobs, sizes, results, asked.jobs, device, done))


run(main, snakemake)  # noqa: F821
