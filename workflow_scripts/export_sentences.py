"""The text vectors of one row's checkpoint as a sentence-transformers folder."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.reporting.export_arguments import export_arguments
    from stiltgrid.reporting.tuned_export import export_sentences

    export_sentences(*export_arguments(snakemake))


run(main, snakemake)  # noqa: F821
