"""Ranks of every query of a retrieval task, before or after retrieval training."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.prediction import EvaluationPaths
    from stiltgrid.evaluation.query_ranks import RankingSettings, rank_queries
    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.grid.grid import Model
    from stiltgrid.grid.params import from_params

    source, params = snakemake.input, snakemake.params
    paths = EvaluationPaths(
        Path(source.checkpoint[0]).parent, Path(source.tokenizer[0]).parent, source.encoded, source.rows
    )
    settings = RankingSettings(
        from_params(Model, params.model),
        card_from_view(params.card),
        tuned=snakemake.wildcards.phase == "after",
        batch_tokens=params.batch_tokens,
        threads=snakemake.threads,
    )
    rank_queries(paths, settings, snakemake.output[0])


run(main, snakemake)  # noqa: F821
