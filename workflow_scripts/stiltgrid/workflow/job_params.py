"""What the jobs of a grid depend on besides files, as plain containers. A job reruns when its params change.

Each method returns only what its job reads, so that other changes of the configuration or the cards rerun nothing.
Snakemake calls them several times per job, so results are memoized and callers must not change them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stiltgrid.grid import paths, recipes
from stiltgrid.grid.cards import TaskCard, card_view
from stiltgrid.grid.params import as_params
from stiltgrid.utils.memoize import memoize
from stiltgrid.workflow.job_inputs import JobInputs, job_path


class JobParams:
    """Params of the rules that prepare, train and score. `root` is the folder of the Snakefile."""

    def __init__(self, inputs: JobInputs, root: Path) -> None:
        self.inputs = inputs
        self.grid = inputs.grid
        self.root = root
        self.data_dir = job_path(self.grid.data_dir, root)

    # ---- preparing ---------------------------------------------------------------------------------------------

    def source(self) -> dict[str, Any]:
        """What opens the source: for the mini-lab its settings, for a mirror its folder."""
        if self.grid.source == "minilab":
            return {"kind": "minilab", "world": as_params(self.grid.world)}
        return {"kind": self.grid.source, "data_dir": self.data_dir}

    @memoize
    def prepared_card(self, task: str) -> dict[str, Any]:
        """What preparing rows reads of a card."""
        return card_view(self.grid.cards[task], "prepare", self.grid.source)

    @memoize
    def origins(self, task: str) -> dict[str, Any]:
        """What preparing a task reads of the cards whose rows it uses, by name."""
        return {
            name: card_view(card, "prepare", self.grid.source) for name, card in self.grid.origin_cards(task).items()
        }

    @memoize
    def variant(self, name: str) -> list[dict[str, Any]]:
        """What prepares a variant: card, origins and languages of each version that it reads, the original first."""
        item = self.inputs.variants[name]
        card, origins = self.grid.cards[item.task], self.grid.origin_cards(item.task)
        found = recipes.by_version(card, item, self.grid.source)
        return [
            {
                "card": self._version(card, version),
                "origins": {key: self._version(each, version) for key, each in origins.items()},
                "languages": list(found.get(version, ())),
            }
            for version in dict.fromkeys((recipes.ORIGINAL, *found))
        ]

    def _version(self, card: TaskCard, version: str) -> dict[str, Any]:
        """A version's card; where only a local copy of it exists, its `local` section also under `source: hub`."""
        found = recipes.of_version(card, version)
        part = card_view(found, "prepare", self.grid.source)
        only_local = self.grid.source == "hub" and found.hub is None and found.local is not None
        return {**part, "local": as_params(found.local)} if only_local else part

    # ---- models ------------------------------------------------------------------------------------------------

    @memoize
    def model_origin(self, model: str) -> dict[str, Any]:
        """Where a model's weights come from: those that were converted, where they must be."""
        if self.grid.models[model].convert:
            return {"hub": None, "revision": None, "path": paths.converted_folder(model)}
        return self.pickled_origin(model)

    def pickled_origin(self, model: str) -> dict[str, Any]:
        """Where a model's weights come from before any conversion."""
        chosen = self.grid.models[model]
        return {"hub": chosen.hub, "revision": chosen.revision, "path": job_path(chosen.path, self.root)}

    def model_mirror(self, model: str) -> str | None:
        """The folder that may hold a copy of a hub model, where the source is a mirror."""
        chosen = self.grid.models[model]
        return self.data_dir if self.grid.source == "local" and chosen.hub and not chosen.convert else None

    @memoize
    def pretraining(self, model: str) -> dict[str, Any]:
        """A model's `pretrain:` section without the keys that only its raw text and its tokenizer depend on."""
        section = as_params(self.grid.models[model].pretrain)
        return {key: value for key, value in section.items() if key not in ("languages", "characters", "tokenizer")}

    def tokenizer(self, model: str) -> dict[str, Any]:
        """How a model's tokenizer is trained, with the objective where it is not that of an encoder."""
        section = self.grid.models[model].pretrain or {}
        objective = {"objective": "causal"} if section.get("objective") == "causal" else {}
        params: dict[str, Any] = as_params({**section["tokenizer"], **objective})
        return params

    # ---- encoding ----------------------------------------------------------------------------------------------

    @memoize
    def encoded_card(self, name: str) -> dict[str, Any]:
        """What tokenizing the rows of a task or a variant reads of the card."""
        return card_view(self.grid.cards[self.inputs.plain_task(name)], "encode")

    def sequence_length(self, model: str, name: str) -> int:
        """Tokens at which the examples of a task or a variant are cut for a model."""
        return paths.sequence_length(self.grid, self.grid.models[model], self.inputs.plain_task(name))

    # ---- training ----------------------------------------------------------------------------------------------

    @memoize
    def training(self, stage: str, model: str, tasks: Sequence[str]) -> list[dict[str, Any]]:
        """Cards, settings and files of a stage's tasks; `tasks` may name variants."""
        return [
            {
                "card": card_view(self.grid.cards[self.inputs.plain_task(task)], "train"),
                "settings": as_params(self.grid.training_for(stage, self.inputs.plain_task(task))),
                "train": f"{paths.RESULTS}/encoded/{model}/{task}/train.arrow",
                "train_rows": f"{paths.RESULTS}/data/{task}/train.parquet",
                "dev": f"{paths.RESULTS}/encoded/{model}/{task}/dev.arrow",
                "dev_rows": f"{paths.RESULTS}/data/{task}/dev.parquet",
            }
            for task in tasks
        ]

    @memoize
    def target_tasks(self, model: str, row: str, tuned: str) -> list[dict[str, Any]]:
        """Cards, settings and files of the tasks that a row's target trains on, within the row's limit of examples."""
        return [
            {**item, "settings": as_params(recipes.target_settings(self.grid, row, item["card"]["name"]))}
            for item in self.training("target", model, tuned.split("+"))
        ]

    @memoize
    def row_tasks(self, model: str, row: str) -> list[dict[str, Any]]:
        """Cards, settings and files of a row's tasks."""
        data = self.training("intermediate", model, self.inputs.row_data(row))
        return [
            {**files, "settings": as_params(recipes.task_settings(self.grid, row, task))}
            for task, files in zip(self.grid.recipe(row).tasks, data, strict=True)
        ]

    @memoize
    def row_settings(self, row: str) -> dict[str, Any] | None:
        """Settings of a row's stage; None for a single task without settings of the row's own: its task has them."""
        if len(self.grid.recipe(row).tasks) == 1 and not recipes.row_layers(self.grid, row):
            return None
        settings: dict[str, Any] = as_params(recipes.row_settings(self.grid, row))
        return settings

    @memoize
    def recipe(self, model: str, row: str) -> dict[str, Any]:
        """A row's recipe, with the files that its language modelling reads."""
        found = self.grid.recipe(row)
        files = {} if found.mlm is None else self.inputs.language_modelling(model, found.mlm)
        return {**as_params(found), **files}

    # ---- scoring -----------------------------------------------------------------------------------------------

    @memoize
    def scored_card(self, target: str) -> dict[str, Any]:
        """What scoring reads of a target's card, with the split that heads the tables under this source."""
        return {**card_view(self.grid.cards[target], "score"), "headline_split": self.grid.headline_split(target)}

    @memoize
    def head_card(self, target: str) -> dict[str, Any] | None:
        """The card whose head is scored: that of the last training task; None where there is no head."""
        train = self.grid.cards[target].train
        return card_view(self.grid.cards[train[-1]], "train") if train else None

    @memoize
    def scoring_precision(self, target: str) -> str:
        """The precision of scoring, which is that of the target's training."""
        train = self.grid.cards[target].train
        return self.grid.training_for("target", train[-1] if train else target).precision
