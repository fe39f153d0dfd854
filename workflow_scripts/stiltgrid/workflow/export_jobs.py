"""Which cells an export reads, and what it records about them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stiltgrid.grid import paths, recipes
from stiltgrid.grid.cards import card_view
from stiltgrid.grid.grid import NONE, Grid, model_view
from stiltgrid.grid.params import as_params
from stiltgrid.reporting import exports
from stiltgrid.reporting.hub_push import PushSettings, repository_name, require_token
from stiltgrid.utils.errors import ConfigError, StiltgridError

BEST, PARTIAL = "best", "_partial"
EXPORTS = f"{paths.RESULTS}/exports"
KINDS = ("checkpoints", "tuned", "sentences")
CHECKPOINTS, TUNED, SENTENCES = (f"{EXPORTS}/{kind}" for kind in KINDS)


class ExportJobs:
    """Inputs and params of submission folders and of exported models.

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

    # ---- models ------------------------------------------------------------------------------------------------

    @property
    def folders(self) -> list[str]:
        """Every model folder that `export_checkpoints` writes: checkpoints of rows, tuned models, text vectors.

        Text vectors are exported where the grid has retrieval targets that read a checkpoint without a head. Those of
        `none` are the same for all seeds, so the first one has them.
        """
        grid, found = self.grid, []
        rows = [name for name in grid.intermediates if name != NONE]
        tuned = dict.fromkeys(name for target in grid.targets if (name := grid.cards[target].tuned))
        for model in grid.own_models:
            found += [f"{CHECKPOINTS}/{model}/{row}/seed{seed}" for row in rows for seed in grid.seeds]
            found += [
                f"{TUNED}/{model}/{row}/{name}/seed{seed}"
                for row in grid.intermediates
                for name in tuned
                for seed in grid.seeds
            ]
            for row in grid.intermediates if self.vector_targets else ():
                seeds = grid.seeds[:1] if row == NONE else grid.seeds
                found += [f"{SENTENCES}/{model}/{row}/seed{seed}" for seed in seeds]
        return found

    @property
    def vector_targets(self) -> list[str]:
        """The targets that are scored by the vectors of a checkpoint without a head."""
        return [name for name in self.grid.targets if self.grid.cards[name].tuned is None]

    def tuned_targets(self, tuned: str) -> list[str]:
        """The targets of the grid that a tuned model scores."""
        return [name for name in self.grid.targets if self.grid.cards[name].tuned == tuned]

    def vector_target(self) -> str:
        """The target whose encoded rows the export of text vectors is tried on; raises StiltgridError without any."""
        if not self.vector_targets:
            raise StiltgridError(
                "text vectors are exported where a target is scored by them, and the grid has none: "
                "add one to `targets`, such as tatoeba, flores, or a task of your own of the family embedding"
            )
        return self.vector_targets[0]

    def tuned_target(self, tuned: str) -> str:
        """The target whose labels and encoded rows the export of a tuned model uses."""
        targets = self.tuned_targets(tuned)
        if not targets:
            raise StiltgridError(f"tuned model '{tuned}': no target of the grid is scored by it")
        return targets[0]

    def logs(self, model: str, row: str, seed: str) -> list[str]:
        """The training logs of a row, those of the steps of its chain first."""
        return [
            f"{paths.intermediate_folder(model, step, seed)}/training.json"
            for step in self.grid.chain(row)
            if step != NONE
        ]

    def reading(self, model: str, target: str) -> dict[str, Any]:
        """How an exported model is read: the target's card, that of its head, and the longest sequence."""
        grid = self.grid
        card, chosen = grid.cards[target], grid.models[model]
        head = grid.cards[card.train[-1]] if card.train else None
        return {
            "model": model_view(chosen, "score"),
            "card": {**card_view(card, "score"), "about": card.about},
            "head": card_view(head, "train") if head else None,
            "max_length": paths.sequence_length(grid, chosen, target),
        }

    def checkpoint_facts(self, model: str, row: str, seed: str) -> dict[str, Any]:
        """What the model card of an exported checkpoint says."""
        return self._facts(model, row, seed, (), self.grid.targets)

    def tuned_facts(self, model: str, row: str, tuned: str, seed: str) -> dict[str, Any]:
        """What the model card of an exported tuned model says."""
        targets = self.tuned_targets(tuned)
        return self._facts(model, row, seed, tuned.split("+"), targets)

    def vector_facts(self, model: str, row: str, seed: str) -> dict[str, Any]:
        """What the model card of exported text vectors says."""
        return self._facts(model, row, seed, (), self.vector_targets)

    # ---- the hub -----------------------------------------------------------------------------------------------

    def push_settings(self) -> PushSettings:
        """The section `push` of the configuration; raises ConfigError where it does not name an owner."""
        if not self.grid.push.get("owner"):
            raise ConfigError(
                ["push.owner: push_checkpoints needs the user or organisation that the repositories are to belong to"]
            )
        values = {key: value for key, value in self.grid.push.items() if key != "kinds"}
        return PushSettings(**values)

    def repository(self, exported: str) -> str:
        """The repository of a folder below results/exports: its model, row, tuned task and seed name it.

        Checkpoints of a row and its text vectors would be called the same, so the latter begin with their kind.
        """
        kind, *parts = exported.split("/")
        steps = [*(["sentences"] if kind == "sentences" else []), *parts]
        return repository_name(self.push_settings(), *steps)

    def pushed(self, with_token: bool = True) -> list[str]:
        """The record of every folder that `push_checkpoints` uploads: of the kinds in `push.kinds`, by default all.

        Raises StiltgridError before anything is computed: without an owner, for a name that the hub does not take or
        that two folders would have, and (`with_token`) without a token.
        """
        kinds = self.grid.push.get("kinds", KINDS)
        folders = [folder.removeprefix(f"{EXPORTS}/") for folder in self.folders]
        wanted = [folder for folder in folders if folder.split("/")[0] in kinds]
        names: dict[str, str] = {}
        for folder in wanted:
            name = self.repository(folder)
            if name.casefold() in names:
                raise StiltgridError(f"push: {folder} and {names[name.casefold()]} would both be {name}; rename a row")
            names[name.casefold()] = folder
        if with_token:
            require_token()
        return [f"{EXPORTS}/pushed/{folder}.json" for folder in wanted]

    def _facts(self, model: str, row: str, seed: str, trained: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
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
            "trained": [self._card_facts(task, self.grid.cards[task].train_languages) for task in trained],
            "targets": [self._card_facts(task, self.grid.cards[task].languages) for task in targets],
            "synthetic": self.grid.source == "minilab",
            **({"folder": Path(chosen.path).name} if chosen.path else {}),
        }

    def _card_facts(self, task: str, languages: Sequence[str], version: str = recipes.ORIGINAL) -> dict[str, Any]:
        """What a model card says about a task."""
        card = self.grid.cards[task]
        found = recipes.of_version(card, version).hub
        hub = found if self.grid.source == "hub" and found else {}
        return {
            "name": task,
            "about": card.about,
            "citation": card.citation,
            "languages": list(languages),
            "source": self.grid.source,
            "hub": hub.get("path"),
            "revision": hub.get("revision"),
            "licence": card.licence,
            "family": card.family,
        }

    def _task_facts(self, row: str, task: str) -> dict[str, Any]:
        """What a model card says about a task of a row, in the languages and the version that the row trains on."""
        item = recipes.variant_of(self.grid, row, task)
        languages = item.languages or self.grid.cards[task].train_languages
        return self._card_facts(task, languages, item.version)
