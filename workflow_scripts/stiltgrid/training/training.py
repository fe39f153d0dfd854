"""One loop for intermediate and target stages: what a job trains, in which order, and what it writes."""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.grid import Model, Recipe, TrainingSettings
from stiltgrid.grid.params import as_params, from_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.checkpoints import save_backbone, save_tuned
from stiltgrid.modeling.device import prepare_compute
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.preparation.budgets import draw_budget, refuse_shortfall, share_budget
from stiltgrid.training.dev_evaluation import looks_record
from stiltgrid.training.language_task import interleaved, load_language_task
from stiltgrid.training.process_group import join_team
from stiltgrid.training.resume import Keeper, checksum, numbered
from stiltgrid.training.stage import LoopState, Stage
from stiltgrid.training.stage import TrainingError as TrainingError
from stiltgrid.training.stage_state import restore_stage
from stiltgrid.training.trainable import base_dtype, trained_part
from stiltgrid.training.training_data import StageTask, draw_schedule, load_stage_task
from stiltgrid.training.vocabulary_subset import used_ids
from stiltgrid.utils.files import atomic_path, write_json
from stiltgrid.utils.provenance import describe_device, versions
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)


def train_intermediate(
    backbone_dir: str | os.PathLike[str],
    tokenizer_dir: str | os.PathLike[str],
    recipe: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    model: Mapping[str, Any],
    seed: int,
    threads: int,
    out_dir: str | os.PathLike[str],
    provenance: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    keeper: Keeper | None = None,
) -> None:
    """Train one row's backbone on its recipe and write it as a Hugging Face folder with its training record.

    `tasks` are mappings as `load_stage_task` reads them. `settings` are the row's own (peak learning rate,
    warm-up, evaluation, `max_steps`); by default the first task's. Each step uses its task's batch size
    and learning rate. A recipe with `mlm` also names `text`, the encoded rows of raw text, and maybe `head`, weights
    of the language model's head. Raises TrainingError when a loss is not finite, SourceError where there are fewer
    examples than the recipe asks for.
    """
    mix: Recipe = from_params(Recipe, recipe)
    run = _Run(backbone_dir, tokenizer_dir, model, tasks, settings, seed, threads, keeper)
    stage_tasks = [load_stage_task(task, seed, run.backbone.max_length) for task in tasks]
    refuse_shortfall(mix, {task.card.name: len(task.pool) for task in stage_tasks})
    budget = share_budget([len(task.pool) for task in stage_tasks], mix)
    stage_tasks = [
        replace(task, pool=draw_budget(task.pool, size, seed, task.card.name))
        for task, size in zip(stage_tasks, budget, strict=True)
    ]
    if mix.mlm is not None:
        limit, special = run.backbone.max_length, run.reader.special
        head = recipe.get("head")
        stage_tasks.append(load_language_task(mix.mlm, recipe["text"], head, run.settings, special, seed, limit))
    run.train(mix.name, stage_tasks, mix, "intermediate")
    if run.team.rank:  # all have the same weights; the first writes them
        return
    with atomic_path(out_dir) as folder:
        save_backbone(run.backbone, folder, run.compute.dtype)
        run.write_record(folder, {"intermediate": mix.name, "provenance": as_params(provenance)})
    run.keeper.remove()


def train_target(
    checkpoint_dir: str | os.PathLike[str],
    tokenizer_dir: str | os.PathLike[str],
    tasks: Sequence[Mapping[str, Any]],
    model: Mapping[str, Any],
    seed: int,
    threads: int,
    out_dir: str | os.PathLike[str],
    provenance: Mapping[str, Any],
    keeper: Keeper | None = None,
) -> None:
    """Train a target's stages one after another from an intermediate checkpoint; write backbone and last head.

    A head goes on to the next stage where the family is the same and the shapes match (XCOPA: SIQa, COPA).
    """
    run = _Run(checkpoint_dir, tokenizer_dir, model, tasks, None, seed, threads, keeper)
    for task in tasks:
        stage_task = load_stage_task(task, seed, run.backbone.max_length)
        run.settings = stage_task.settings
        run.train(stage_task.card.name, [stage_task], Recipe(stage_task.card.name), "target")
    if run.team.rank:
        return
    with atomic_path(out_dir) as folder:
        save_tuned(run.backbone, run.last_head, folder, run.compute.dtype)
        stages = [stage["name"] for stage in run.stages]
        run.write_record(folder, {"tuned": stages, "provenance": as_params(provenance)})
    run.keeper.remove()


class _Run:
    """What the stages of one job share: backbone, reader, device, and the record that is written at the end."""

    def __init__(
        self,
        checkpoint: str | os.PathLike[str],
        tokenizer_dir: str | os.PathLike[str],
        model: Mapping[str, Any],
        tasks: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any] | None,
        seed: int,
        threads: int,
        keeper: Keeper | None = None,
    ) -> None:
        self.team = join_team()
        self.keeper = keeper or Keeper()
        self.keeper.team = self.team
        self._saved = self.keeper.load()
        facts = self._saved.facts if self._saved else {}
        self.started = time.monotonic() - facts.get("seconds", 0.0)
        self.seed = seed
        self.model: Model = from_params(Model, model)
        self.settings: TrainingSettings = from_params(TrainingSettings, settings or tasks[0]["settings"])
        self.compute = prepare_compute(self.settings.precision, threads)
        self.reader = Reader(read_special_tokens(tokenizer_dir), self.model)
        every = [self.settings, *(from_params(TrainingSettings, task["settings"]) for task in tasks)]
        self.backbone = load_backbone(checkpoint, base_dtype(every, self.compute.dtype)).to(self.compute.device)
        self.stages: list[dict[str, Any]] = facts.get("stages", [])
        self.log: list[dict[str, Any]] = facts.get("log", [])
        self.resumed: list[dict[str, Any]] = facts.get("resumed", [])
        self._done = len(self.stages)  # stages that an earlier attempt has finished
        self._heads: dict[str, torch.nn.Module] = {}
        self._families: dict[str, str] = {}

    @property
    def last_head(self) -> torch.nn.Module:
        """The head of the last stage."""
        return next(reversed(self._heads.values()))

    def train(self, name: str, tasks: Sequence[StageTask], recipe: Recipe, kind: str) -> None:
        """One stage; its seed comes from the job's seed and the names, so stages do not disturb one another."""
        if self._done:
            self._done -= 1
            return
        seed = derive_seed(self.seed, kind, self.model.name, name)
        torch.manual_seed(seed)
        heads = torch.nn.ModuleDict({task.card.name: self._head(task) for task in tasks}).to(self.compute.device)
        if self.settings.gradient_checkpointing:
            self.backbone.checkpoint_gradients()
        own = tasks if recipe.mlm is None else tasks[:-1]
        schedule = draw_schedule(own, recipe, self.settings.max_steps, derive_seed(seed, "mixture"))
        if recipe.mlm is not None:
            schedule = interleaved(schedule, len(own), recipe.mlm, derive_seed(seed, "interleaved"))
        LOG.info("%s stage '%s': %d steps", kind, name, len(schedule))
        started = time.monotonic()
        self.backbone.enable_packing(self.compute)  # reads ids that the stage's data may not hold
        with trained_part(self.backbone, self.settings, self._used_ids(tasks, recipe)) as frozen:
            if self.team.rank:  # the same new weights in every process, but dropout of its own
                torch.manual_seed(derive_seed(seed, "process", self.team.rank))
            stage = Stage(
                name, self.backbone, heads, tasks, schedule, self.settings, self.reader, self.compute, seed, self.team
            )
            stage.carried = frozen if self.stages else ()
            self._bring_back(stage)
            self.team.agree(stage.state.step, "the step that they resume from")
            state = stage.run(self.keeper, self._facts)
            if self.team.size > 1:
                self.team.agree(checksum(numbered("", stage.parameters)), "the weights that they have come to")
        self.log += state.log
        self.stages.append(_record(stage, state, time.monotonic() - started))
        LOG.info(
            "stage '%s': dev %s at step %d of %d, %.1f s, %.1f %% padding",
            name,
            "none" if state.best_score is None else f"{state.best_score:.2f}",
            state.best_step,
            len(schedule),
            time.monotonic() - started,
            100 * state.tokens.padding_share,
        )
        self._heads = dict(heads.items())
        self._families = {task.card.name: task.card.family for task in tasks}

    def _used_ids(self, tasks: Sequence[StageTask], recipe: Recipe) -> np.ndarray | None:
        """Ids that a stage looks up; None for a language model, which predicts all there are, or a frozen table."""
        if recipe.mlm is not None or self.settings.lora or self.settings.freeze:
            return None
        data = [*(task.train for task in tasks), *(task.dev.encoded for task in tasks if task.dev is not None)]
        return used_ids(data, self.reader.special)

    def _facts(self) -> dict[str, Any]:
        """What a resumed attempt must know beside the stage that it goes on with."""
        seconds = time.monotonic() - self.started
        return {"stages": self.stages, "log": self.log, "resumed": self.resumed, "seconds": seconds}

    def _bring_back(self, stage: Stage) -> None:
        """Put a stage to where an earlier attempt of this job has saved it, if one has."""
        if self._saved is None:
            return
        restore_stage(stage, self._saved)
        self._saved = None
        self.resumed.append({"stage": stage.name, "step": stage.state.step})
        LOG.info("stage '%s': resumed after step %d of %d", stage.name, stage.state.step, len(stage.schedule))

    def _head(self, task: StageTask) -> torch.nn.Module:
        head = task.build_head(self.backbone, self.reader)
        for name, earlier in self._heads.items():
            shapes = [{key: value.shape for key, value in item.state_dict().items()} for item in (earlier, head)]
            if self._families[name] == task.card.family and shapes[0] == shapes[1]:
                return earlier
        return head

    def write_record(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write `training.json` and `log.jsonl` into the folder."""
        record = {
            **facts,
            "model": as_params(self.model),
            "seed": self.seed,
            "stages": self.stages,
            "seconds": round(time.monotonic() - self.started, 3),
            "versions": versions(),
            "dtype": str(self.compute.dtype).removeprefix("torch."),
            **describe_device(),
            **({"processes": self.team.size} if self.team.size > 1 else {}),
            **({"resumed": self.resumed} if self.resumed else {}),
        }
        write_json(record, folder / "training.json")
        lines = [json.dumps(line, ensure_ascii=False) for line in self.log]
        (folder / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _record(stage: Stage, state: LoopState, seconds: float) -> dict[str, Any]:
    return {
        "name": stage.name,
        "settings": as_params(stage.settings),
        "tasks": [
            {
                "name": task.card.name,
                "metric": task.card.metric,
                "examples": len(task.pool),
                "settings": as_params(task.settings),
                "steps": int((stage.schedule[: state.step] == number).sum()),
                **({"head": origin} if (origin := getattr(stage.heads[task.card.name], "origin", None)) else {}),
            }
            for number, task in enumerate(stage.tasks)
        ],
        "steps": state.step,
        "planned_steps": len(stage.schedule),
        "best_step": state.best_step,
        "best_score": state.best_score,
        "looks": looks_record(stage.tasks, stage.looks),
        "evaluations": state.evaluations,
        "tokens": state.tokens.real,
        "computed_tokens": state.tokens.computed,
        "padding_share": round(state.tokens.padding_share, 6),
        "dev_tokens": state.dev_tokens.real,
        "trained_parameters": stage.trained_parameters,
        "micro_batch_tokens": state.limits,
        "seconds": round(seconds, 3),
    }
