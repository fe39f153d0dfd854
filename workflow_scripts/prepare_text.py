"""Raw text that a model is pretrained on."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.pretraining import prepare_text
    from stiltgrid.sources import open_source

    params = snakemake.params
    prepare_text(open_source(**params.source), params.languages, params.characters, snakemake.output[0])


run(main, snakemake, network=True)  # noqa: F821
