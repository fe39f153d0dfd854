"""One tuned model with its head as a folder that transformers or sentence-transformers load."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.reporting.export_arguments import export_arguments
    from stiltgrid.reporting.tuned_export import export_tuned

    export_tuned(*export_arguments(snakemake))


run(main, snakemake)  # noqa: F821
