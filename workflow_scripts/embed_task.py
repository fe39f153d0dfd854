"""A task's vector from its texts, its sentences or its subwords."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.prediction import EvaluationPaths
    from stiltgrid.evaluation.task_embedding import EmbeddingSettings, embed_task
    from stiltgrid.grid.grid import Model
    from stiltgrid.grid.params import from_params

    source, params = snakemake.input, snakemake.params
    paths = EvaluationPaths(
        Path(source.checkpoint[0]).parent, Path(source.tokenizer[0]).parent, source.encoded, source.rows
    )
    settings = EmbeddingSettings(
        snakemake.wildcards.measure,
        from_params(Model, params.model),
        params.examples,
        params.batch_tokens,
        snakemake.threads,
    )
    embed_task(paths, settings, snakemake.output[0])


run(main, snakemake)  # noqa: F821
