"""Raw text that a model or a row is trained on."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.data.sources import open_source
    from stiltgrid.preparation.raw_text import prepare_text

    params = snakemake.params
    prepare_text(open_source(**params.source), params.languages, params.characters, snakemake.output[0])


run(main, snakemake, network=True)  # noqa: F821
