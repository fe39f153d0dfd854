"""Raw text as rows of one length under one model's tokenizer."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.training.language_task import encode_text

    source = snakemake.input
    backbone = Path(source.model[2]).parent if len(source.model) > 2 else None
    encode_text(source.text, Path(source.model[0]).parent, snakemake.output[0], snakemake.params.length, backbone)


run(main, snakemake)  # noqa: F821
