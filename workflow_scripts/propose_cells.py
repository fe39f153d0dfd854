"""The cells that a round of a selection runs, from the development scores of the rounds before it."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.workflow.selection_rounds import script_sources, write_next_round

    write_next_round(script_sources(snakemake), int(snakemake.wildcards.round), snakemake.output[0])


run(main, snakemake)  # noqa: F821
