"""Training and development rows of a task, free of any model."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.data.sources import open_source
    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.preparation.prepare import prepare_train

    params = snakemake.params
    prepare_train(
        card_from_view(params.card),
        {name: card_from_view(part) for name, part in params.origins.items()},
        params.languages,
        open_source(**params.source),
        snakemake.output.train,
        snakemake.output.dev,
    )


run(main, snakemake, network=True)  # noqa: F821
