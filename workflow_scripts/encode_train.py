"""Token ids of a task's training and development rows under one model."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.preparation.encode import encode_file

    card, source, out = card_from_view(snakemake.params.card), snakemake.input, snakemake.output
    tokenizer = Path(source.model[0]).parent
    backbone = Path(source.model[2]).parent if len(source.model) > 2 else None
    encode_file(card, source.train, tokenizer, out.train, snakemake.params.max_length, True, backbone)
    encode_file(card, source.dev, tokenizer, out.dev, snakemake.params.max_length, False, backbone)


run(main, snakemake)  # noqa: F821
