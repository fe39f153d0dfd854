"""Token ids of the rows that a target is scored on, under one model."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.preparation.encode import encode_file

    card, source = card_from_view(snakemake.params.card), snakemake.input
    tokenizer = Path(source.model[0]).parent
    backbone = Path(source.model[2]).parent if len(source.model) > 2 else None
    encode_file(card, source.rows, tokenizer, snakemake.output[0], snakemake.params.max_length, False, backbone)


run(main, snakemake)  # noqa: F821
