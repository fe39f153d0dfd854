"""Rows that a target is scored on, in all its languages, free of any model."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.data.sources import open_source
    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.grid.grid import Evaluation
    from stiltgrid.preparation.prepare import prepare_eval

    params = snakemake.params
    prepare_eval(
        card_from_view(params.card),
        {name: card_from_view(part) for name, part in params.origins.items()},
        params.languages,
        params.splits,
        open_source(**params.source),
        Evaluation(examples=params.examples),
        snakemake.output[0],
    )


run(main, snakemake, network=True)  # noqa: F821
