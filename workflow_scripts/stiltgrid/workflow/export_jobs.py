"""Which cells an export reads, and what it records about them."""

from collections.abc import Sequence
from typing import Any

from stiltgrid.grid import paths, recipes
from stiltgrid.grid.grid import Grid
from stiltgrid.grid.params import as_params
from stiltgrid.reporting import exports
from stiltgrid.utils.errors import StiltgridError

BEST, PARTIAL = "best", "_partial"


class ExportJobs:
    """Inputs and params of submission folders and of exported checkpoints.

    `benchmark` is xtreme or xtreme_r, with the ending `_partial` for what exists; `row` is a row of the grid or
    `best`, which takes each task from the row that is best for it on development data.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def rows(self, row: str) -> Sequence[str]:
        """The rows that an export may take its tasks from."""
        return self.grid.intermediates if row == BEST else [row]

    def targets(self, benchmark: str, row: str) -> list[str]:
        """The tasks of an export that this grid scores.

        Raises StiltgridError listing everything that a complete export lacks; a partial export takes what exists.
        """
        plain = benchmark.removesuffix(PARTIAL)
        problems = exports.grid_problems(self.grid, plain)
        if row != BEST and row not in self.grid.intermediates:
            problems.append(f"row '{row}': not among the intermediates")
        if problems and benchmark == plain:
            raise StiltgridError(exports.refusal(benchmark, problems))
        return [task for task in exports.exported_tasks(plain) if task in self.grid.targets]

    def evaluation_rows(self, benchmark: str, row: str) -> list[str]:
        """Evaluation rows of every exported task."""
        return [f"{paths.RESULTS}/data/{target}/eval.parquet" for target in self.targets(benchmark, row)]

    def predictions(self, benchmark: str, model: str, row: str, seed: str) -> list[str]:
        """Predictions of every cell that an export may take."""
        return [
            self._predictions(model, each, target, seed)
            for each in self.rows(row)
            for target in self.targets(benchmark, row)
        ]

    def parts(self, benchmark: str, model: str, row: str, seed: str) -> list[dict[str, Any]]:
        """What an export reads of each task's card and files; `{row}` stands for the row it is taken from."""
        plain = benchmark.removesuffix(PARTIAL)
        return [
            {
                "task": task,
                "family": self.grid.cards[task].family,
                "labels": list(self.grid.cards[task].labels),
                "languages": list(self.grid.cards[task].benchmarks.get(plain, ())),
                "predictions": self._predictions(model, "{row}", task, seed),
                "rows": f"{paths.RESULTS}/data/{task}/eval.parquet",
                "examples": self.grid.evaluation_for(task).examples,
            }
            for task in self.targets(benchmark, row)
        ]

    @staticmethod
    def _predictions(model: str, row: str, task: str, seed: str) -> str:
        return f"{paths.RESULTS}/scores/{model}/{row}/{task}/seed{seed}/predictions.parquet"

    def checkpoint_facts(self, model: str, row: str, seed: str) -> dict[str, Any]:
        """What the model card of an exported checkpoint says."""
        chosen, recipe = self.grid.models[model], self.grid.recipe(row)
        return {
            "model": model,
            "intermediate": row,
            "seed": int(seed),
            "base": chosen.hub,
            "revision": chosen.revision,
            "licence": chosen.licence,
            "recipe": as_params(recipe),
            "tasks": [
                self._task_facts(step, task) for step in self.grid.chain(row) for task in self.grid.recipe(step).tasks
            ],
        }

    def _task_facts(self, row: str, task: str) -> dict[str, Any]:
        """What a model card says about a training task."""
        card, item = self.grid.cards[task], recipes.variant_of(self.grid, row, task)
        found = recipes.of_version(card, item.version).hub
        hub = found if self.grid.source == "hub" and found else {}
        return {
            "name": task,
            "about": card.about,
            "citation": card.citation,
            "languages": list(item.languages or card.train_languages),
            "source": self.grid.source,
            "hub": hub.get("path"),
            "revision": hub.get("revision"),
        }
