"""Training rows of a task in other languages or of another version, with its English development rows."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from stiltgrid.data.sources import open_source
    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.preparation.prepare import prepare_variant

    params = snakemake.params
    prepare_variant(
        [
            (
                card_from_view(part["card"]),
                {name: card_from_view(origin) for name, origin in part["origins"].items()},
                part["languages"],
            )
            for part in params.parts
        ],
        params.dev_languages,
        open_source(**params.source),
        snakemake.output.train,
        snakemake.output.dev,
    )


run(main, snakemake, network=True)  # noqa: F821
