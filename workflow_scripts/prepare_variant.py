"""Training rows of a task in other languages or of another version, with its English development rows."""

from stiltgrid.warm import run


def main(snakemake):
    from stiltgrid.parts import card_from_part
    from stiltgrid.prepare import prepare_variant
    from stiltgrid.sources import open_source

    params = snakemake.params
    prepare_variant(
        [
            (
                card_from_part(part["card"]),
                {name: card_from_part(origin) for name, origin in part["origins"].items()},
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
