"""A task's Fisher embedding from a model tuned on it; for a row, with a head that is fitted again."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.prediction import EvaluationPaths
    from stiltgrid.evaluation.task_embedding import FisherSettings, embed_fisher
    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.grid.grid import Model
    from stiltgrid.grid.params import from_params

    source, params = snakemake.input, snakemake.params
    paths = EvaluationPaths(Path(source.checkpoint[0]).parent, Path(source.tokenizer[0]).parent, source.encoded)
    settings = FisherSettings(
        from_params(Model, params.model),
        card_from_view(params.card),
        params.examples,
        has_head=snakemake.wildcards.kind == "target",
        seed=params.seed,
        threads=snakemake.threads,
    )
    embed_fisher(paths, settings, snakemake.output[0])


run(main, snakemake)  # noqa: F821
