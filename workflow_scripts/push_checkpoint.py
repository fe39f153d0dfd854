"""Uploads one exported folder to the hub."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.reporting.hub_push import push_folder

    params = snakemake.params
    push_folder(Path(snakemake.input[0]), params.repository, params.private, Path(snakemake.output[0]))


run(main, snakemake, network=True)  # noqa: F821
