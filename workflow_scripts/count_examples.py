"""Whether a row's tasks have the examples that its recipe asks for, before anything is trained."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.preparation.budgets import count_examples

    count_examples(snakemake.params.recipe, snakemake.input, snakemake.output[0])


run(main, snakemake)  # noqa: F821
