"""Which cells, training records and task vectors the studies read, and what their jobs depend on."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from stiltgrid.config.data_checks import data_problems
from stiltgrid.grid import paths
from stiltgrid.grid.cards import card_view
from stiltgrid.grid.designs import how_many
from stiltgrid.grid.designs import retrieval as retrieval_design
from stiltgrid.grid.grid import NONE, Grid
from stiltgrid.grid.layout import shown_layout
from stiltgrid.grid.params import as_params
from stiltgrid.studies import similarity_files
from stiltgrid.studies.ranking_table import read_ranking
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.memoize import memoize
from stiltgrid.workflow import unfinished

FOLDER = f"{paths.RESULTS}/studies"
EMBEDDINGS = f"{FOLDER}/similarity/embeddings"


class StudyJobs:
    """Inputs and params of the studies' rules. A study is checked when one of its jobs is asked for, not before."""

    def __init__(self, grid: Grid, root: Path) -> None:
        """`root` is the folder of the Snakefile, which relative data folders start from."""
        self.grid = grid
        self.root = root

    # ---- every study -------------------------------------------------------------------------------------------

    @memoize
    def view(self, study: str) -> Grid:
        """The cells of a study as a grid of its own.

        Raises StiltgridError where the configuration has no such study or its rows cannot be had.
        """
        if study in self.grid.study_problems:
            raise StiltgridError(_listed(study, self.grid.study_problems[study]))
        if study not in self.grid.plans:
            raise StiltgridError(
                f"study_{study}: the configuration has no section studies.{study}; "
                "config.yaml shows it for the mini-lab, presets/studies.yaml at real scale"
            )
        view, plan = self.grid.view(study), self.grid.plans[study]
        problems = data_problems(_with_rows(view, (*plan.trained, *plan.mixed)), self.root)
        if problems:
            raise StiltgridError(_listed(study, problems))
        return view

    def section(self, study: str) -> Any:
        """A study's section of the configuration."""
        return as_params(self.grid.studies[study])

    def layout(self, study: str) -> Any:
        """The cells that the tables of a study must hold."""
        return as_params(shown_layout(self.view(study)))

    def metrics(self, study: str) -> list[str]:
        """Scores of a study's cells."""
        return [cell.metrics for cell in paths.cells(self.view(study))]

    def unfinished(self, study: str) -> list[str]:
        """Missing outputs of the study's unfinished jobs: with them its old scores would count as new ones."""
        view = self.view(study)  # refuses a study that is not right
        return unfinished.outputs(_with_rows(view, self.grid.plans[study].trained))

    def records(self, study: str) -> list[str]:
        """Training records (`training.json`) of the rows of a study that have a training."""
        view = self.view(study)
        return [
            _record(model, row, seed)
            for model in view.models
            for row in view.intermediates
            if row != NONE
            for seed in view.seeds
        ]

    def summaries(self) -> list[str]:
        """The summaries of all configured studies; raises StiltgridError where there is none."""
        studies = [*self.grid.plans, *self.grid.study_problems]
        if not studies:
            raise StiltgridError(
                "studies: the configuration has no section `studies`; presets/studies.yaml is an example"
            )
        return [f"{FOLDER}/{study}/summary.md" for study in studies]

    def unmixed(self) -> list[str]:
        """The studies whose cells are all known before anything runs."""
        return [name for name, plan in self.grid.plans.items() if not plan.mixed]

    # ---- similarity --------------------------------------------------------------------------------------------

    def similarity_option(self, name: str, default: int) -> int:
        """A number of the similarity study's section, or the default where the section has none."""
        number: int = (self.grid.studies.get("similarity") or {}).get(name, default)
        return number

    def similarity_vectors(self) -> similarity_files.Files:
        """Files of task vectors by model and measure, those of rows and those of targets."""
        return similarity_files.vectors(self.view("similarity"), self.grid.studies["similarity"], EMBEDDINGS)

    def similarity_files(self) -> list[str]:
        """Every file of task vectors, each once."""
        return similarity_files.flat(self.similarity_vectors())

    def similarity_families(self) -> dict[str, str]:
        """Family of each row and target of the similarity study."""
        return similarity_files.families(self.view("similarity"))

    def fisher_task(self, kind: str, tuned: str) -> str:
        """The task whose examples and head a Fisher vector uses: a row's own, or the last that a target trains on."""
        return self.grid.recipe(tuned).tasks[0] if kind == "row" else tuned.split("+")[-1]

    def fisher_card(self, kind: str, tuned: str) -> dict[str, Any]:
        """The card of that task, as training reads it."""
        return card_view(self.grid.cards[self.fisher_task(kind, tuned)], "train")

    def fisher_checkpoint(self, model: str, kind: str, tuned: str) -> list[str]:
        """The checkpoint that a Fisher vector is computed on."""
        return paths.checkpoint(similarity_files.fisher_checkpoint(model, kind, tuned, self.grid.seeds[0]))

    # ---- architecture ------------------------------------------------------------------------------------------

    def task_families(self, study: str) -> dict[str, str]:
        """Family of each row and target of a study; `mixed` for a row with tasks of several families."""
        view = self.view(study)
        found = {name: view.cards[name].family for name in view.targets}
        for row in view.intermediates:
            families = {view.cards[task].family for task in view.recipe(row).tasks}
            found[row] = families.pop() if len(families) == 1 else "mixed"
        return found

    def architecture_backbones(self) -> list[str]:
        """`config.json` and weights of every model of the architecture study, in its order."""
        return [file for model in self.view("architecture").models for file in
                paths.checkpoint(paths.backbone_folder(model))]  # fmt: skip

    def architecture_models(self) -> dict[str, dict[str, Any]]:
        """What the study says of where its models come from."""
        view = self.view("architecture")
        return {
            name: {key: as_params(getattr(model, key)) for key in ("hub", "path", "pretrain", "pooling")}
            for name, model in view.models.items()
        }

    # ---- how many ----------------------------------------------------------------------------------------------

    def ranked_records(self) -> list[str]:
        """Training records of each task alone, which the ranking is made of."""
        view, plan = self.view("how_many"), self.grid.plans["how_many"]
        return [_record(model, task, seed) for model in view.models for task in plan.trained for seed in view.seeds]

    def ranked_tasks(self) -> list[dict[str, Any]]:
        """What the ranking reads of the tasks: metric, chance and best score."""
        section = self.grid.studies["how_many"]
        scales = {task: how_many.scale(self.grid.cards[task], section) for task in section["tasks"]}
        return [
            {"name": task, "metric": self.grid.cards[task].metric, "chance": low, "best": high}
            for task, (low, high) in scales.items()
        ]

    def best_metrics(self, ranking: str) -> list[str]:
        """Scores of the best tasks' mixtures that no random set has already, by the table `ranking`."""
        view, known = self.view("how_many"), set(self.metrics("how_many"))
        best = [
            paths.Cell(model, row, target, seed).metrics
            for model, rows in self._best_rows(ranking).items()
            for row in rows
            for target in view.targets
            for seed in view.seeds
        ]
        return [file for file in dict.fromkeys(best) if file not in known]

    def unfinished_best(self, ranking: str) -> list[str]:
        """What `unfinished` leaves out: missing outputs of the best tasks' mixtures, by the table `ranking`."""
        rows = [row for best in self._best_rows(ranking).values() for row in best]
        known = set(self.unfinished("how_many"))
        return [file for file in unfinished.outputs(_with_rows(self.view("how_many"), rows)) if file not in known]

    def _best_rows(self, ranking: str) -> dict[str, list[str]]:
        section = self.grid.studies["how_many"]
        ranked = read_ranking(ranking)
        return {model: list(how_many.best_rows(section, tasks).values()) for model, tasks in ranked.items()}

    # ---- retrieval ---------------------------------------------------------------------------------------------

    def retrieval_task(self) -> str | None:
        """The task whose tuned models score targets without training; None where it is no target of the study."""
        return retrieval_design.trained_on(self.grid.studies["retrieval"], self.grid)

    def retrieval_groups(self) -> Any:
        """Rows of the retrieval study by kind: English, multilingual, controls."""
        return as_params(retrieval_design.groups(self.grid.studies["retrieval"], self.grid))

    def retrieval_cells(self) -> list[list[str | int]]:
        """Model, row, target, phase and seed of every ranking; phases: before and after retrieval training."""
        trained = self.retrieval_task()
        return [
            [cell.model, cell.intermediate, cell.target, phase, cell.seed]
            for cell in paths.cells(self.view("retrieval"))
            for phase in ("before", "after")
            if phase == "before" or self.grid.cards[cell.target].train or trained
        ]

    def retrieval_ranks(self) -> list[str]:
        """Files of all rankings: predictions where a target's scoring has ranked already, else files of the study."""
        found = []
        for model, row, target, phase, seed in self.retrieval_cells():
            if phase == "after" and self.grid.cards[str(target)].train:
                found.append(f"{paths.RESULTS}/scores/{model}/{row}/{target}/seed{seed}/predictions.parquet")
            else:
                found.append(f"{FOLDER}/retrieval/ranks/{model}/{row}/{target}/{phase}/seed{seed}.parquet")
        return found

    def ranked_checkpoint(self, model: str, row: str, phase: str, seed: str) -> list[str]:
        """The row's own checkpoint, or the one that it was tuned to for retrieval."""
        if phase == "before":
            return paths.checkpoint(paths.intermediate_folder(model, row, seed))
        task = self.retrieval_task()
        assert task is not None, "no cell of this phase without a task to train on"
        return paths.checkpoint(paths.scored_folder(self.grid, model, row, task, seed))


def _with_rows(view: Grid, rows: Iterable[str]) -> Grid:
    return replace(view, intermediates=(*view.intermediates, *rows))


def _record(model: str, row: str, seed: int) -> str:
    return f"{paths.intermediate_folder(model, row, seed)}/training.json"


def _listed(study: str, problems: Iterable[str]) -> str:
    return f"study_{study}:\n" + "\n".join(f"  - {problem}" for problem in problems)
