"""Which files the jobs of a grid read. Snakemake calls these methods for every job, so their results are memoized."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.config.model_checks import expanded
from stiltgrid.data import adapters
from stiltgrid.data.sources.base import Source
from stiltgrid.grid import paths, recipes
from stiltgrid.grid.grid import NONE, Grid
from stiltgrid.utils.errors import ConfigError
from stiltgrid.utils.memoize import memoize

TOKENIZER_FILES = ("tokenizer.json", "special_tokens.json")


def job_path(path: str | None, root: Path) -> str | None:
    """A path of the configuration as jobs see it: a relative one starts from `root`, the folder of the Snakefile.

    That is where a run is unless it has `--directory`. None for none.
    """
    if path is None:
        return None
    found = expanded(path)
    return str(found) if found.is_absolute() or Path.cwd() == root.resolve() else os.path.relpath(root / found)


class JobInputs:
    """Paths of the files that jobs read. Files of a mirror are listed so that a change in one reruns the job."""

    def __init__(self, grid: Grid, source: Source) -> None:
        self.grid = grid
        self.source = source
        self.variants = recipes.variants(grid)
        self.texts = recipes.texts(grid)

    def plain_task(self, name: str) -> str:
        """The task whose training rows are called `name`: the task itself or one of its variants."""
        return self.variants[name].task if name in self.variants else name

    def text_request(self, name: str) -> Mapping[str, Any]:
        """Languages and characters of the raw text `name`: a model's to be pretrained, or a recipe's."""
        if name in self.texts:
            return self.texts[name]
        return self.grid.models[name].pretrain or {}

    @memoize
    def rows(self, task: str, training: bool) -> list[str]:
        """Files of a mirror that preparing a task reads; empty for the hub and the mini-lab, which have none."""
        if self.grid.source != "local":
            return []
        card, origins = self.grid.cards[task], self.grid.origin_cards(task)
        splits = ("train", "dev") if training else self.grid.eval_splits(task)
        languages = card.train_languages if training else self.grid.languages(task)
        return sorted(
            {
                file
                for split in splits
                for code in languages
                for file in adapters.row_files(card, split, code, self.source, training, origins)
            }
        )

    @memoize
    def variant(self, name: str) -> list[str]:
        """Files of a mirror that preparing a variant reads."""
        item = self.variants[name]
        card, origins = self.grid.cards[item.task], self.grid.origin_cards(item.task)
        found = set(self.rows(item.task, training=True))
        for version, codes in recipes.by_version(card, item, self.grid.source).items():
            versioned = recipes.of_version(card, version)
            others = {key: recipes.of_version(each, version) for key, each in origins.items()}
            for code in codes:
                found |= set(adapters.row_files(versioned, "train", code, self.source, True, others))
        return sorted(found)

    def text(self, name: str) -> list[str]:
        """Files of a mirror that hold a raw text."""
        if self.grid.source != "local":
            return []
        from stiltgrid.data.sources.local import LocalSource

        assert isinstance(self.source, LocalSource)
        files = (self.source.text_file(language) for language in self.text_request(name)["languages"])
        return [str(file) for file in files if file]

    def origin(self, model: str) -> list[str]:
        """The folder of a model whose pickled weights are converted first; nothing for any other."""
        return [paths.converted_folder(model)] if self.grid.models[model].convert else []

    def converted(self) -> list[str]:
        """The folders of all models whose weights are converted; raises ConfigError where there is none."""
        found = [folder for model in self.grid.models for folder in self.origin(model)]
        if not found:
            raise ConfigError(["no model has `convert: true`, so there are no weights to convert"])
        return found

    def encoding(self, model: str) -> list[str]:
        """A model's tokenizer; of a fetched model also the configuration, which says its longest sequence."""
        folder = f"{paths.RESULTS}/models/{model}"
        files = [f"{folder}/tokenizer/{name}" for name in TOKENIZER_FILES]
        return files if self.grid.models[model].pretrain else [*files, f"{folder}/backbone/config.json"]

    @memoize
    def training(self, model: str, tasks: Sequence[str]) -> list[str]:
        """Encoded rows of a stage's tasks, and the canonical rows that development scores are computed on."""
        encoded = [
            f"{paths.RESULTS}/encoded/{model}/{task}/{split}.arrow" for task in tasks for split in ("train", "dev")
        ]
        return encoded + [
            f"{paths.RESULTS}/data/{task}/{split}.parquet" for task in tasks for split in ("train", "dev")
        ]

    @memoize
    def row_data(self, row: str) -> tuple[str, ...]:
        """Names of the prepared rows that a row trains on, in the order of its tasks."""
        return tuple(recipes.variant_of(self.grid, row, task).name for task in self.grid.recipe(row).tasks)

    def language_modelling(self, model: str, mlm: Mapping[str, Any]) -> dict[str, str]:
        """Encoded raw text of a recipe, and what the checkpoint has of a language model's head."""
        chosen, folder = self.grid.models[model], f"{paths.RESULTS}/models/{model}"
        text = f"{recipes.text_name(mlm)}/{paths.text_length(chosen, mlm)}.arrow"
        head = "backbone/lm_head.safetensors" if chosen.pretrain else "language_head.safetensors"
        return {"text": f"{paths.RESULTS}/encoded/{model}/{text}", "head": f"{folder}/{head}"}

    @memoize
    def beside_tasks(self, model: str, row: str) -> list[str]:
        """What training a row reads besides its tasks: raw text, and the check that there are enough examples."""
        recipe = self.grid.recipe(row)
        counted = recipe.examples is not None and recipe.upsample is False
        return [
            *([] if recipe.mlm is None else self.language_modelling(model, recipe.mlm).values()),
            *([f"{paths.RESULTS}/budgets/{row}.json"] if counted else []),
        ]

    def scored_checkpoint(self, model: str, row: str, target: str, seed: str) -> list[str]:
        """The checkpoint that a cell is scored from."""
        return paths.checkpoint(paths.scored_folder(self.grid, model, row, target, seed))

    def row_checkpoint(self, model: str, row: str, seed: str) -> list[str]:
        """The checkpoint of a row, which its targets start from."""
        return paths.checkpoint(paths.intermediate_folder(model, row, seed))

    def first_checkpoint(self, model: str, row: str, seed: str) -> list[str]:
        """The checkpoint that a row's own training starts from: the backbone, or the step before in a chain."""
        return self.row_checkpoint(model, self.grid.recipe(row).after or NONE, seed)
