"""One row's checkpoint as a Hugging Face folder with a model card."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.checkpoint_export import export_checkpoint
    from stiltgrid.reporting.exported_card import facts_from_params
    from stiltgrid.reporting.exported_results import read_results
    from stiltgrid.utils.files import read_json

    source, facts = snakemake.input, facts_from_params(snakemake.params.facts)
    layout, row = layout_from_params(snakemake.params.layout), (facts.model, facts.intermediate, facts.seed)
    targets = [task.name for task in facts.targets]
    export_checkpoint(
        Path(source.checkpoint[0]).parent,
        Path(source.tokenizer[0]).parent,
        facts,
        [read_json(log) for log in source.logs],
        read_results(source.scores, source.significance, layout, row, targets),
        snakemake.output[0],
    )


run(main, snakemake)  # noqa: F821
