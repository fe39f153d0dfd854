"""What the runs of a selection cost, in the training tokens that `estimate` counts."""

from collections.abc import Sequence

import numpy as np

from stiltgrid.grid import paths
from stiltgrid.grid.grid import NONE, Grid
from stiltgrid.grid.selection import Selection, low_fidelity, low_rows
from stiltgrid.preparation.data_sizes import DataSizes
from stiltgrid.selection.policy import Costs
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.workflow.dry_run import PlannedJob
from stiltgrid.workflow.estimate import Work, job_work
from stiltgrid.workflow.job_inputs import JobInputs


def selection_costs(grid: Grid, selection: Selection, inputs: JobInputs, sizes: DataSizes, model: str) -> Costs:
    """Costs of one model's cells and rows at both fidelities; infinite where low fidelity is not cheaper.

    Raises StiltgridError naming data of unknown size.
    """
    low = low_fidelity(grid, selection)
    lowered = low_rows(grid, selection)
    whole_rows = [_row(grid, inputs, sizes, model, row) for row in grid.intermediates]
    low_prices = [
        _row(low, inputs, sizes, model, row) if row in lowered else price
        for row, price in zip(grid.intermediates, whole_rows, strict=True)
    ]
    shape = (2, len(selection.targets), len(grid.intermediates))
    cells, tunings = np.empty(shape), np.zeros(shape[:2])
    models = [grid.cards[target].tuned or target for target in selection.targets]
    for column, target in enumerate(selection.targets):
        cells[:, column] = _effort(
            job_work(grid, sizes, PlannedJob("score_target", {"model": model, "target": target}, ()))
        )
        tuned = grid.cards[target].tuned
        for level, which in enumerate((grid, low) if tuned else ()):
            job = PlannedJob("train_target", {"model": model, "intermediate": NONE, "tuned": str(tuned)}, ())
            tunings[level, column] = _effort(job_work(which, sizes, job))
    rows = np.array([whole_rows, low_prices])
    own = cells + tunings[..., None]
    cheaper = own[1] + rows[1] < (own[0] + rows[0]) * (1 - 1e-6)
    cells[1] = np.where(cheaper, cells[1], np.inf)
    first = tuple(models.index(name) for name in models)
    return Costs(cells, rows, tuple(row in lowered for row in grid.intermediates), tunings, first)


def _row(grid: Grid, inputs: JobInputs, sizes: DataSizes, model: str, row: str) -> float:
    """Effort of a row's intermediate training, with all steps of its chain."""
    return sum(_effort(job_work(grid, sizes, _job(inputs, model, step))) for step in _steps(grid, row))


def _steps(grid: Grid, row: str) -> Sequence[str]:
    return [step for step in grid.chain(row) if step != NONE]


def _job(inputs: JobInputs, model: str, row: str) -> PlannedJob:
    files = tuple(inputs.training(model, inputs.row_data(row)))
    return PlannedJob("train_intermediate", {"model": model, "intermediate": row}, files)


def _effort(work: Work) -> float:
    if work.unknown:
        names = ", ".join(sorted(work.unknown))
        raise StiltgridError(
            f"selection: the data of {names} has no known size, so nothing can be priced; prepare it (snakemake "
            "--until encode_train encode_eval), or say `estimate: {examples: {task: number}}`"
        )
    return work.effort


def data_files(grid: Grid, selection: Selection, inputs: JobInputs) -> list[str]:
    """Encoded data that the costs are counted on: of the rows' tasks and of the targets."""
    names = [name for row in grid.intermediates for step in grid.chain(row) for name in inputs.row_data(step)]
    names += [task for target in selection.targets for task in grid.cards[target].train]
    encoded = [
        f"{paths.RESULTS}/encoded/{model}/{name}/{split}.arrow"
        for model in grid.own_models
        for name in dict.fromkeys(names)
        for split in ("train", "dev")
    ]
    evaluated = [
        f"{paths.RESULTS}/encoded/{model}/{target}/eval.arrow"
        for model in grid.own_models
        for target in selection.targets
    ]
    return [*encoded, *evaluated]
