"""Scores and predictions of one cell, all languages at once."""

from stiltgrid.workflow.job_runner import run


def main(snakemake):
    from pathlib import Path

    from stiltgrid.evaluation.prediction import EvaluationPaths
    from stiltgrid.evaluation.scoring import ScoringSettings, score_target
    from stiltgrid.grid.cards import card_from_view
    from stiltgrid.grid.grid import Model
    from stiltgrid.grid.params import from_params

    source, params, cell = snakemake.input, snakemake.params, dict(snakemake.wildcards.items())
    paths = EvaluationPaths(
        Path(source.checkpoint[0]).parent, Path(source.tokenizer[0]).parent, source.encoded[0], source.rows[0]
    )
    settings = ScoringSettings(
        from_params(Model, params.model),
        card_from_view(params.target),
        params.head and card_from_view(params.head),
        {**cell, "seed": int(cell["seed"])},
        params.batch_tokens,
        snakemake.threads,
        params.precision,
        {"code": params.code, "backbone": params.origin},
    )
    score_target(paths, settings, snakemake.output.metrics, snakemake.output.predictions)


run(main, snakemake)  # noqa: F821
