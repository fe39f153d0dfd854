"""One row's checkpoint as a Hugging Face folder with a model card."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.grid.layout import layout_from_params
    from stiltgrid.reporting.checkpoint_export import CheckpointFacts, TaskFacts, export_checkpoint

    facts, source = dict(snakemake.params.facts), snakemake.input
    facts["tasks"] = tuple(TaskFacts(**{**task, "languages": tuple(task["languages"])}) for task in facts["tasks"])
    export_checkpoint(
        Path(source.checkpoint[0]).parent,
        Path(source.tokenizer[0]).parent,
        CheckpointFacts(**facts),
        source.scores,
        layout_from_params(snakemake.params.layout),
        snakemake.output[0],
    )


run(main, snakemake)  # noqa: F821
