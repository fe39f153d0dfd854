"""What tables and plots read of a grid, or of the cells of a study, besides the scores."""

from typing import Any

from stiltgrid.grid import paths
from stiltgrid.grid.benchmarks import benchmark_files
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.params import as_params


def counted_families(grid: Grid) -> dict[str, dict[str, Any]]:
    """Target -> how its examples are counted again: its family, and the options that its metrics read."""
    return {
        name: {
            "family": grid.cards[name].family,
            "options": {**as_params(grid.cards[name].options), "labels": list(grid.cards[name].labels)},
        }
        for name in grid.targets
    }


def cell_keys(grid: Grid) -> list[list[str | int]]:
    """Model, row, target and seed of every cell of a grid."""
    return [[cell.model, cell.intermediate, cell.target, cell.seed] for cell in paths.cells(grid)]


def predictions(grid: Grid) -> list[str]:
    """Files of the predictions of every cell."""
    return [cell.metrics.replace("metrics.json", "predictions.parquet") for cell in paths.cells(grid)]


def official_languages(grid: Grid) -> dict[str, Any]:
    """Target -> the official languages of each benchmark that has it."""
    return {name: as_params(grid.cards[name].benchmarks) for name in grid.targets}


def benchmark_rules() -> dict[str, Any]:
    """The contents of the benchmarks' files, as parameters: jobs read the files, and run again when these change."""
    return as_params(benchmark_files())


def hub_names(grid: Grid) -> dict[str, str | None]:
    """Model -> its name on the hub; None for models from elsewhere."""
    return {name: model.hub for name, model in grid.models.items()}
