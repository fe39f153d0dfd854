"""The page that describes the columns of the tables."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.reporting.tables_readme import write_readme

    write_readme(snakemake.output[0], snakemake.params.synthetic)


run(main, snakemake)  # noqa: F821
