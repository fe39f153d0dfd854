"""Removes saved states and half-written files; finished outputs stay."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    import sys
    from pathlib import Path

    from stiltgrid.workflow.clean_state import clean_state

    sys.stdout.write(f"freed {clean_state(Path('results')) / 1e9:.3f} GB\n")


run(main, snakemake)  # noqa: F821
