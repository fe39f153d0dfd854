"""What the rules of a selection ask for: the cells of its rounds, their low-fidelity jobs, and what they depend on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stiltgrid.grid import paths, recipes
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.params import as_params
from stiltgrid.grid.selection import (
    ROUNDS,
    Selection,
    kinds_of_tasks,
    low_fidelity,
    low_rows,
    prior_path,
    selection_of,
    selection_problems,
)
from stiltgrid.selection.tables import FOLDER, ProposedCell, read_round
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.memoize import memoize
from stiltgrid.workflow.job_inputs import JobInputs
from stiltgrid.workflow.job_params import JobParams
from stiltgrid.workflow.selection_costs import data_files


class SelectionJobs:
    """Inputs and params of the selection's rules. It is checked when one of its jobs is asked for, not before."""

    def __init__(self, inputs: JobInputs, root: Path) -> None:
        """`root` is the folder of the Snakefile."""
        self.inputs, self.grid, self.root = inputs, inputs.grid, root

    @memoize
    def asked(self) -> Selection:
        """The selection of the configuration; raises StiltgridError where it has none, or one with problems."""
        section = self.grid.selection
        if section is None:
            raise StiltgridError(
                "select: the configuration has no section `selection`; `selection: {budget: 0.1}` is the shortest"
            )
        found = self.grid.selection_problems or tuple(selection_problems(section, self.grid, self.root))
        if found:
            raise StiltgridError("select:\n" + "\n".join(f"  - {problem}" for problem in found))
        return selection_of(section, self.grid)

    rounds = ROUNDS

    # ---- rounds ------------------------------------------------------------------------------------------------

    def data(self) -> list[str]:
        """What the first round reads: encoded data, whose size is the price, and the tables of earlier grids."""
        return [*data_files(self.grid, self.asked(), self.inputs), *self.priors()]

    def priors(self) -> list[str]:
        """Tables of earlier grids."""
        return [str(prior_path(name, self.root)) for name in self.asked().prior]

    def tables(self, checkpoint: Any, rounds: int) -> list[str]:
        """Tables of the first rounds; Snakemake makes what is missing of them before it asks again."""
        return [str(checkpoint.get(round=number).output[0]) for number in range(rounds)]

    def files(self, tables: Sequence[str]) -> list[str]:
        """Scores and predictions of the cells of some rounds."""
        cells = [cell for table in tables for cell in self.cells(table)]
        return [file for cell in cells for file in (cell.metrics, cell.predictions)]

    def cells(self, table: str) -> list[ProposedCell]:
        """The cells of a round's table, which must be cells of this grid.

        Raises StiltgridError for a table that was made for another configuration.
        """
        found = read_round(table)
        for cell in found:
            known = (cell.model in self.grid.own_models, cell.intermediate in self.grid.intermediates,
                     cell.target in self.grid.targets, cell.seed in self.grid.seeds)  # fmt: skip
            if not all(known):
                raise StiltgridError(
                    f"{table}: {cell.model} / {cell.intermediate} / {cell.target} / seed {cell.seed} is not a cell of "
                    f"this grid any more; delete {FOLDER}, what is trained at its ordinary place is used again"
                )
        return found

    def settings(self) -> Any:
        """What the proposals depend on besides files: rows, columns, seeds, and what is trained how."""
        grid, asked = self.grid, self.asked()
        stages = {
            task: as_params(grid.training_for(stage, task))
            for stage, tasks in self._tasks(asked).items()
            for task in tasks
        }
        return as_params(
            {
                "models": grid.own_models, "rows": {row: grid.recipe(row) for row in grid.intermediates},
                "layers": {row: recipes.row_layers(grid, row) for row in grid.intermediates},
                "seeds": grid.seeds, "training": stages, "selection": asked,
                "kinds": kinds_of_tasks(grid, asked),
            }
        )  # fmt: skip

    def _tasks(self, asked: Selection) -> dict[str, list[str]]:
        rows = {task for row in self.grid.intermediates for task in self.grid.recipe(row).tasks}
        columns = {task for target in asked.targets for task in self.grid.cards[target].train}
        return {"intermediate": sorted(rows), "target": sorted(columns)}

    # ---- low fidelity ------------------------------------------------------------------------------------------

    @memoize
    def low_params(self) -> JobParams:
        """Params of the jobs of low fidelity."""
        low: Grid = low_fidelity(self.grid, self.asked())
        return JobParams(JobInputs(low, self.inputs.source), self.root)

    def low_row_checkpoint(self, model: str, row: str, seed: str) -> list[str]:
        """The checkpoint that a low-fidelity cell starts from: its row's of low fidelity, or its ordinary one."""
        if row in low_rows(self.grid, self.asked()):
            return paths.checkpoint(f"{FOLDER}/intermediate/{model}/{row}/seed{seed}")
        return self.inputs.row_checkpoint(model, row, seed)

    def low_scored_checkpoint(self, model: str, row: str, target: str, seed: str) -> list[str]:
        """The checkpoint that a low-fidelity cell is scored from."""
        tuned = self.grid.cards[target].tuned
        if tuned is None:
            return self.low_row_checkpoint(model, row, seed)
        return paths.checkpoint(f"{FOLDER}/tuned/{model}/{row}/{tuned}/seed{seed}")
