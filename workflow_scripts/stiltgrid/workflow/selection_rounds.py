"""The jobs of a selection: the table of a round, and the answer after the last one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stiltgrid.grid import paths
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.layout import grid_layout
from stiltgrid.grid.selection import Selection, kinds_of_tasks
from stiltgrid.preparation.data_sizes import DataSizes
from stiltgrid.selection.affinity import affinities, same_kind
from stiltgrid.selection.answer import Answer, answers, summary, write_answers
from stiltgrid.selection.earlier import read_earlier
from stiltgrid.selection.prior import fit_prior
from stiltgrid.selection.rounds import Problem, next_cells
from stiltgrid.selection.tables import ProposedCell, read_round, write_round
from stiltgrid.utils.files import atomic_path
from stiltgrid.workflow.job_inputs import JobInputs
from stiltgrid.workflow.selection_costs import selection_costs
from stiltgrid.workflow.table_params import counted_families

AnyPath = str | Path


@dataclass(frozen=True)
class Sources:
    """What a selection is made of: the grid, its section, what its jobs read, tables of earlier grids and of rounds."""

    grid: Grid
    selection: Selection
    inputs: JobInputs
    priors: Sequence[str]
    rounds: Sequence[str]

    @property
    def cells(self) -> list[ProposedCell]:
        """The cells of the rounds so far."""
        return [cell for table in self.rounds for cell in read_round(table)]


def problems(sources: Sources) -> Iterator[Problem]:
    """The problem of each model of the grid."""
    grid, selection = sources.grid, sources.selection
    layout = grid_layout(replace(grid, targets=selection.targets))
    shares = same_kind(*kinds_of_tasks(grid, selection))
    earlier = read_earlier([Path(name) for name in sources.priors], layout)
    prior = fit_prior(earlier, len(grid.intermediates), affinities(shares))
    sizes = DataSizes(grid, Path(paths.RESULTS), None)
    for model in grid.own_models:
        costs = selection_costs(grid, selection, sources.inputs, sizes, model)
        yield Problem(model, layout, counted_families(grid), selection, prior, costs, shares)


def write_next_round(sources: Sources, round_: int, out: AnyPath) -> None:
    """Write the cells of a round, chosen by the development scores of the rounds before it."""
    cells = sources.cells
    found = [cell for problem in problems(sources) for cell in next_cells(problem, cells, round_)]
    write_round(found, out, synthetic=grid_layout(sources.grid).synthetic)


def write_choice(sources: Sources, table: AnyPath, text: AnyPath) -> None:
    """Write `selection.tsv` and `summary.md`."""
    cells = sources.cells
    found: list[Answer] = [answer for problem in problems(sources) for answer in answers(problem, cells)]
    synthetic = grid_layout(sources.grid).synthetic
    write_answers(found, table, synthetic)
    content = summary(found, cells, sources.selection.budget, sources.selection.prior, synthetic)
    with atomic_path(text) as temporary:
        temporary.write_text(content, encoding="utf-8")


def script_sources(snakemake: Any) -> Sources:
    """The sources of a script's job, whose inputs `priors` and `rounds` are tables."""
    from stiltgrid.config.loading import load_grid
    from stiltgrid.data.sources import open_source
    from stiltgrid.grid.selection import selection_of

    root = Path(snakemake.scriptdir).parent
    grid = load_grid(snakemake.config, root, snakemake.params.configfiles)
    inputs = JobInputs(grid, open_source(grid.source, snakemake.params.data_dir, grid.world))
    assert grid.selection is not None, "the rules ask for no job of a selection that is not configured"
    return Sources(
        grid, selection_of(grid.selection, grid), inputs, list(snakemake.input.priors), list(snakemake.input.rounds)
    )
