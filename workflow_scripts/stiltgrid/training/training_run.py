"""The state that the stages of one training job share, and the record that the job writes."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.grid import Model, Recipe, TrainingSettings
from stiltgrid.grid.params import as_params, from_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.device import prepare_compute
from stiltgrid.modeling.precision import ModelPrecision
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.training.dev_evaluation import schedule_record
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.language_task import interleaved
from stiltgrid.training.process_group import join_process_group
from stiltgrid.training.resume import StateSaver
from stiltgrid.training.saved_state import checksum, numbered
from stiltgrid.training.stage import Stage
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.training.stage_state import restore_stage
from stiltgrid.training.trainable import base_dtype, trainable_part
from stiltgrid.training.training_data import StageTask, draw_schedule
from stiltgrid.training.vocabulary_subset import used_ids
from stiltgrid.utils.files import write_json
from stiltgrid.utils.logs import publish
from stiltgrid.utils.provenance import describe_device, versions
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)


class TrainingRun:
    """Backbone, reader, device and record of a job. `settings` are those of the current stage.

    Where an earlier attempt of the job has saved its state, finished stages are skipped and the next one resumes.
    """

    def __init__(
        self,
        paths: TrainingPaths,
        job: TrainingJob,
        settings: Mapping[str, Any] | None = None,
        saver: StateSaver | None = None,
    ) -> None:
        self.group = join_process_group()
        self.saver = saver or StateSaver()
        self.saver.group = self.group
        self._saved = self.saver.load()
        facts = self._saved.facts if self._saved else {}
        self.started = time.monotonic() - facts.get("seconds", 0.0)
        self.seed = job.seed
        self.model: Model = from_params(Model, job.model)
        self.settings: TrainingSettings = from_params(TrainingSettings, settings or job.tasks[0]["settings"])
        precision = ModelPrecision.of_tokenizer(paths.checkpoint, paths.tokenizer)
        self.compute = prepare_compute(self.settings.precision, self.saver.threads(job.threads), precision)
        self.reader = Reader(read_special_tokens(paths.tokenizer), self.model)
        every = [self.settings, *(from_params(TrainingSettings, task["settings"]) for task in job.tasks)]
        self.dtype = base_dtype(every, self.compute.dtype)
        self.backbone = load_backbone(paths.checkpoint, self.dtype).to(self.compute.device)
        self.stages: list[dict[str, Any]] = facts.get("stages", [])
        self.log: list[dict[str, Any]] = facts.get("log", [])
        self.resumed: list[dict[str, Any]] = facts.get("resumed", [])
        self._finished = len(self.stages)  # by an earlier attempt, and still to be skipped
        self._heads: dict[str, torch.nn.Module] = {}
        self._families: dict[str, str] = {}

    @property
    def saved_dtype(self) -> torch.dtype:
        """The dtype that the backbone is written in: that of its weights in training, or bf16 for a smaller file."""
        return torch.bfloat16 if self.settings.checkpoint_precision == "bf16" else self.dtype

    @property
    def last_head(self) -> torch.nn.Module:
        """The head of the last stage."""
        return next(reversed(self._heads.values()))

    def train(self, name: str, tasks: Sequence[StageTask], recipe: Recipe, kind: str) -> None:
        """Train one stage; its seed is derived from the job's seed and the names, so stages are independent."""
        if self._finished:
            self._finished -= 1
            return
        seed = derive_seed(self.seed, kind, self.model.name, name)
        torch.manual_seed(seed)
        heads = torch.nn.ModuleDict({task.card.name: self._head(task) for task in tasks}).to(self.compute.device)
        if self.settings.gradient_checkpointing:
            self.backbone.checkpoint_gradients()
        schedule = stage_schedule(tasks, recipe, self.settings.max_steps, seed)
        plan = StagePlan(name, tasks, schedule, self.settings, seed)
        LOG.info("%s stage '%s': %d steps", kind, name, plan.steps)
        started = time.monotonic()
        stage = self._run(plan, StageModel(self.backbone, heads, self.reader, self.compute), recipe)
        self.log += stage.state.log
        seconds = time.monotonic() - started
        self.stages.append(stage_record(stage, seconds))
        _log_result(stage, seconds)
        self._heads = dict(heads.items())
        self._families = {task.card.name: task.card.family for task in tasks}

    def _run(self, plan: StagePlan, model: StageModel, recipe: Recipe) -> Stage:
        self.backbone.enable_packing(self.compute)  # reads token ids that the stage's data may not contain
        used = self._used_ids(plan.tasks, recipe)
        with trainable_part(self.backbone, self.settings, used) as frozen:
            if self.group.rank:  # the same new weights in every process, but other dropout masks
                torch.manual_seed(derive_seed(plan.seed, "process", self.group.rank))
            stage = Stage(plan, model, self.group)
            stage.carried = frozen if self.stages else ()
            self._restore(stage)
            self.group.check_equal(stage.state.step, "the step that they resume from")
            publish({"begins_after": sum(each["steps"] for each in self.stages), "resumes_after": stage.state.step})
            stage.run(self.saver, self._facts)
            if self.group.size > 1:
                self.group.check_equal(checksum(numbered("", stage.parameters)), "their weights after the stage")
        return stage

    def _used_ids(self, tasks: Sequence[StageTask], recipe: Recipe) -> np.ndarray | None:
        """Token ids in a stage's data; None for a language model, which predicts all of them, or a frozen table."""
        if recipe.mlm is not None or self.settings.lora or self.settings.freeze:
            return None
        data = [*(task.train for task in tasks), *(task.dev.encoded for task in tasks if task.dev is not None)]
        return used_ids(data, self.reader.special)

    def _facts(self) -> dict[str, Any]:
        """The facts of the job that a resumed attempt needs beside the state of its stage."""
        seconds = time.monotonic() - self.started
        return {"stages": self.stages, "log": self.log, "resumed": self.resumed, "seconds": seconds}

    def _restore(self, stage: Stage) -> None:
        """Restore a stage from the saved state of an earlier attempt, if there is one."""
        if self._saved is None:
            return
        restore_stage(stage, self._saved)
        self._saved = None
        self.resumed.append({"stage": stage.plan.name, "step": stage.state.step})
        LOG.info("stage '%s': resumed after step %d of %d", stage.plan.name, stage.state.step, stage.plan.steps)

    def _head(self, task: StageTask) -> torch.nn.Module:
        """A new head, or that of the previous stage where family and shapes match."""
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
            "dtype": _name(self.compute.dtype),
            "saved_dtype": _name(self.saved_dtype),
            **describe_device(),
            **({"processes": self.group.size} if self.group.size > 1 else {}),
            **({"resumed": self.resumed} if self.resumed else {}),
        }
        write_json(record, folder / "training.json")
        lines = [json.dumps(line, ensure_ascii=False) for line in self.log]
        (folder / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def stage_schedule(tasks: Sequence[StageTask], recipe: Recipe, max_steps: int | None, seed: int) -> np.ndarray:
    """(steps,): the number of the task that each step trains; with `mlm`, the last task is the language model."""
    own = tasks if recipe.mlm is None else tasks[:-1]
    schedule = draw_schedule(own, recipe, max_steps, derive_seed(seed, "mixture"))
    if recipe.mlm is None:
        return schedule
    return interleaved(schedule, len(own), recipe.mlm, derive_seed(seed, "interleaved"))


def stage_record(stage: Stage, seconds: float) -> dict[str, Any]:
    """The entry of a finished stage in `training.json`."""
    plan, state = stage.plan, stage.state
    return {
        "name": plan.name,
        "settings": as_params(plan.settings),
        "tasks": [
            {
                "name": task.card.name,
                "metric": task.card.metric,
                "examples": len(task.pool),
                "settings": as_params(task.settings),
                "steps": int((plan.schedule[: state.step] == number).sum()),
                **({"head": origin} if (origin := getattr(stage.model.heads[task.card.name], "origin", None)) else {}),
            }
            for number, task in enumerate(plan.tasks)
        ],
        "steps": state.step,
        "planned_steps": plan.steps,
        "best_step": state.best_step,
        "best_score": state.best_score,
        "dev_evaluations": schedule_record(plan.tasks, stage.evaluation_schedule),
        "evaluations": state.evaluations,
        "tokens": state.tokens.real,
        "computed_tokens": state.tokens.computed,
        "padding_share": round(state.tokens.padding_share, 6),
        "dev_tokens": state.dev_tokens.real,
        "trained_parameters": stage.trained_parameters,
        "micro_batch_tokens": state.limits,
        **({} if stage.graphs is None else {"cuda_graph_tokens": list(stage.graphs.sizes.tokens)}),
        "seconds": round(seconds, 3),
    }


def _log_result(stage: Stage, seconds: float) -> None:
    state = stage.state
    LOG.info(
        "stage '%s': dev %s at step %d of %d, %.1f s, %.1f %% padding",
        stage.plan.name,
        "none" if state.best_score is None else f"{state.best_score:.2f}",
        state.best_step,
        stage.plan.steps,
        seconds,
        100 * state.tokens.padding_share,
    )
