"""What the two scripts that export tuned models read of their job: files, settings, and the contents of the card."""

from pathlib import Path
from typing import Any

from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.grid.cards import card_from_view
from stiltgrid.grid.grid import Model
from stiltgrid.grid.layout import layout_from_params
from stiltgrid.grid.params import from_params
from stiltgrid.reporting.exported_card import facts_from_params
from stiltgrid.reporting.exported_results import read_results
from stiltgrid.reporting.tuned_export import CardContent, ExportSettings
from stiltgrid.utils.files import read_json


def export_arguments(snakemake: Any) -> tuple[EvaluationPaths, ExportSettings, CardContent, Path]:
    """Arguments of `export_tuned` and `export_sentences`, from a script's `snakemake` object."""
    source, reading = snakemake.input, snakemake.params.reading
    facts = facts_from_params(snakemake.params.facts)
    layout, row = layout_from_params(snakemake.params.layout), (facts.model, facts.intermediate, facts.seed)
    targets = [task.name for task in facts.targets]
    results = read_results(source.scores, source.significance, layout, row, targets)
    return (
        EvaluationPaths(
            Path(source.checkpoint[0]).parent, Path(source.tokenizer[0]).parent, source.encoded[0], source.rows[0]
        ),
        ExportSettings(
            from_params(Model, reading["model"]),
            card_from_view(reading["card"]),
            reading["head"] and card_from_view(reading["head"]),
            reading["max_length"],
        ),
        CardContent(facts, [read_json(log) for log in source.logs], results),
        Path(snakemake.output[0]),
    )
