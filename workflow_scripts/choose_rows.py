"""The chosen row of each target, with how sure that is and what it cost."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.workflow.selection_rounds import script_sources, write_choice

    write_choice(script_sources(snakemake), snakemake.output.table, snakemake.output.summary)


run(main, snakemake)  # noqa: F821
