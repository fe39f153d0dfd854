"""One loop for intermediate and target stages: sums over micro-batches, early stopping, the best weights kept."""

import json
import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stiltgrid.backbone import Backbone, load_backbone
from stiltgrid.batching import ExampleOrder, plan_step
from stiltgrid.cards import Model, Recipe, TrainingSettings, as_params, from_params
from stiltgrid.checkpoints import save_backbone, save_tuned
from stiltgrid.device import Compute, prepare_compute
from stiltgrid.errors import StiltgridError
from stiltgrid.files import atomic_path, write_json
from stiltgrid.optimizers import adamw, decay_groups, linear_schedule, set_rate
from stiltgrid.prediction import Reader, TokenCount, predict_all
from stiltgrid.provenance import describe_device, versions
from stiltgrid.seeding import derive_seed
from stiltgrid.tokenization import read_special_tokens
from stiltgrid.training_data import StageTask, draw_schedule, load_stage_task, share_budget, token_columns

LOG = logging.getLogger(__name__)
LOG_LINES = 1000


class TrainingError(StiltgridError):
    """A run that cannot go on, naming step, task and examples."""


@dataclass
class LoopState:
    """All that a stage has come to, beside weights and optimiser: what a resumed run must bring back."""

    step: int = 0
    best_step: int = 0
    best_score: float | None = None
    stale: int = 0
    tokens: TokenCount = field(default_factory=TokenCount)
    dev_tokens: TokenCount = field(default_factory=TokenCount)
    log: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)


class Stage:
    """One stage of training: some tasks, one head each, a schedule of which task each step takes."""

    def __init__(
        self, name: str, backbone: Backbone, heads: torch.nn.ModuleDict, tasks: Sequence[StageTask],
        schedule: np.ndarray, settings: TrainingSettings, reader: Reader, compute: Compute, seed: int,
    ) -> None:
        self.name, self.backbone, self.heads, self.tasks = name, backbone, heads, tasks
        self.schedule, self.settings, self.reader, self.compute = schedule, settings, reader, compute
        self.orders = [ExampleOrder(task.pool, derive_seed(seed, name, task.card.name, "order")) for task in tasks]
        self.parameters = [item for item in [*backbone.parameters(), *heads.parameters()] if item.requires_grad]
        groups = decay_groups(self.parameters, settings.weight_decay)
        self.optimizer = adamw(groups, settings.learning_rate, settings.adam_epsilon)
        self.state = LoopState()
        self._best: list[torch.Tensor] | None = None
        self._unread: deque[tuple[int, int, np.ndarray, torch.Tensor, dict[str, Any]]] = deque()
        self._read_every = 1 if compute.device.type == "cpu" else 25

    def run(self) -> LoopState:
        """Train to the end of the schedule or until dev stops improving; leave the best weights in place."""
        steps = len(self.schedule)
        every = self.settings.evaluate_every or self._epoch_steps()
        self.backbone.train()
        self.heads.train()
        with tqdm(total=steps, desc=self.name, unit="step", disable=None, leave=False) as bar:
            while self.state.step < steps:
                self._step(int(self.schedule[self.state.step]))
                bar.update()
                if (self.state.step % every == 0 or self.state.step == steps) and self._evaluate():
                    break
        self._read_losses()
        self._restore_best()
        return self.state

    def _epoch_steps(self) -> int:
        longest = max(task.settings.epochs for task in self.tasks)
        return max(1, int(np.ceil(len(self.schedule) / max(1.0, longest))))

    def _step(self, which: int) -> None:
        """One optimiser step on exactly `batch_size` examples of one task."""
        task, settings, state = self.tasks[which], self.tasks[which].settings, self.state
        examples = self.orders[which].take(settings.batch_size)
        micro_batches = plan_step(
            task.train, task.offsets, examples, settings.micro_batch_tokens, self.compute.pass_overhead,
            task.family.splits_batches, task.family.splits_examples,
        )
        rows = np.concatenate(micro_batches)
        scalars, tokens = token_columns(task.train, rows)
        weight = max(task.family.loss_weight(scalars, tokens, len(rows)), 1e-9)
        step_tokens = TokenCount()
        total = torch.zeros((), device=self.compute.device)
        for micro_batch in micro_batches:
            batch = self.reader.batch(task.family, task.train, micro_batch)
            step_tokens.add(batch)
            total += self._backward(task, batch.to(self.compute.device), weight)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, settings.max_grad_norm or float("inf"))
        share = linear_schedule(state.step, len(self.schedule), self.settings.warmup_share)
        set_rate([self.optimizer], share, settings.learning_rate / self.settings.learning_rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.tokens.real += step_tokens.real
        state.tokens.computed += step_tokens.computed
        line = {"learning_rate": share * settings.learning_rate, "tokens": step_tokens.real,
                "computed_tokens": step_tokens.computed, "micro_batches": len(micro_batches)}
        self._unread.append((state.step, which, examples, torch.stack([total, norm.to(total)]), line))
        if len(self._unread) >= self._read_every:
            self._read_losses()

    def _backward(self, task: StageTask, batch: Any, weight: float) -> torch.Tensor:
        with self.compute.autocast():
            hidden = self.backbone(batch)
            loss = task.family.loss(task.card, self.heads[task.card.name], hidden, batch).float() / weight
        loss.backward()
        return loss.detach()

    def _read_losses(self) -> None:
        """Bring the losses of the last steps over from the device in one go, check and log them."""
        if not self._unread:
            return
        values = torch.stack([entry[3] for entry in self._unread]).tolist()
        keep = max(1, len(self.schedule) // LOG_LINES)
        for (step, which, examples, _, line), (loss, norm) in zip(self._unread, values, strict=True):
            task = self.tasks[which]
            if not np.isfinite(loss) or not np.isfinite(norm):
                raise TrainingError(
                    f"stage '{self.name}', step {step} of {len(self.schedule)}, task '{task.card.name}': loss {loss}, "
                    f"gradient norm {norm}; examples {', '.join(task.example_ids(examples))}"
                )
            if step % keep == 0 or step == len(self.schedule):
                self.state.log.append({
                    "stage": self.name, "step": step, "task": task.card.name, "loss": loss, "gradient_norm": norm,
                    **line, "padding_share": 1 - line["tokens"] / line["computed_tokens"],
                })
        self._unread.clear()

    def _evaluate(self) -> bool:
        """Score the dev sets, keep the weights if they are the best so far; True when patience has run out."""
        self._read_losses()
        scores = {task.card.name: self._dev_score(task) for task in self.tasks if task.dev is not None}
        if not scores:
            return False
        state, score = self.state, float(np.mean(list(scores.values())))
        entry = {"stage": self.name, "step": state.step, "dev": scores, "score": score}
        state.evaluations.append(entry)
        state.log.append(entry)
        if state.best_score is None or score > state.best_score:
            state.best_score, state.best_step, state.stale = score, state.step, 0
            self._keep_best()
            return False
        state.stale += 1
        return self.settings.patience is not None and state.stale >= self.settings.patience

    def _dev_score(self, task: StageTask) -> float:
        """The task's headline metric on its dev set, 0 to 100, averaged over languages."""
        assert task.dev is not None
        encoded, rows = task.dev.encoded, task.dev.rows
        outputs = predict_all(
            self.backbone, task.family, task.card, self.heads[task.card.name], encoded, self.reader, self.compute,
            task.settings.micro_batch_tokens, self.state.dev_tokens,
        )
        predictions = task.family.decode(task.card, outputs, encoded.scalars, rows, {})
        found = task.family.measure(task.card, predictions, rows)
        return float(np.mean([item.value for item in found if item.metric == task.card.metric]))

    def _keep_best(self) -> None:
        if self.state.step == len(self.schedule):
            self._best = None
            return
        current = [parameter.detach() for parameter in self.parameters]
        if self._best is None:
            self._best = [torch.empty_like(value) for value in current]
        torch._foreach_copy_(self._best, current)

    @torch.no_grad()
    def _restore_best(self) -> None:
        if self.state.best_score is None:
            self.state.best_step = self.state.step
        if self._best is not None and self.state.best_step != self.state.step:
            torch._foreach_copy_([parameter.detach() for parameter in self.parameters], self._best)


def train_intermediate(
    backbone_dir: str | os.PathLike[str], tokenizer_dir: str | os.PathLike[str], recipe: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]], model: Mapping[str, Any], seed: int, threads: int,
    out_dir: str | os.PathLike[str], provenance: Mapping[str, Any], settings: Mapping[str, Any] | None = None,
) -> None:
    """Train one row's backbone on its recipe and write it as a Hugging Face folder with its training record.

    `tasks` are mappings as `load_stage_task` reads them. `settings` are the row's own (peak learning rate,
    warm-up, evaluation, `max_steps`); by default the first task's. Each step uses its task's batch size
    and learning rate. Raises TrainingError when a loss is not finite.
    """
    mix: Recipe = from_params(Recipe, recipe)
    run = _Run(backbone_dir, tokenizer_dir, model, tasks, settings, seed, threads)
    stage_tasks = [load_stage_task(task, seed, run.backbone.max_length) for task in tasks]
    budget = share_budget([len(task.pool) for task in stage_tasks], mix)
    stage_tasks = [
        task if size == len(task.pool) else replace(task, pool=_fewer(task, size, seed))
        for task, size in zip(stage_tasks, budget, strict=True)
    ]
    run.train(mix.name, stage_tasks, mix, "intermediate")
    with atomic_path(out_dir) as folder:
        save_backbone(run.backbone, folder, run.compute.dtype)
        run.write_record(folder, {"intermediate": mix.name, "provenance": as_params(provenance)})


def train_target(
    checkpoint_dir: str | os.PathLike[str], tokenizer_dir: str | os.PathLike[str],
    tasks: Sequence[Mapping[str, Any]], model: Mapping[str, Any], seed: int, threads: int,
    out_dir: str | os.PathLike[str], provenance: Mapping[str, Any],
) -> None:
    """Train a target's stages one after another from an intermediate checkpoint; write backbone and last head.

    A head goes on to the next stage where the family is the same and the shapes match (XCOPA: SIQa, COPA).
    """
    run = _Run(checkpoint_dir, tokenizer_dir, model, tasks, None, seed, threads)
    for task in tasks:
        stage_task = load_stage_task(task, seed, run.backbone.max_length)
        run.settings = stage_task.settings
        run.train(stage_task.card.name, [stage_task], Recipe(stage_task.card.name), "target")
    with atomic_path(out_dir) as folder:
        save_tuned(run.backbone, run.last_head, folder, run.compute.dtype)
        stages = [stage["name"] for stage in run.stages]
        run.write_record(folder, {"tuned": stages, "provenance": as_params(provenance)})


def _fewer(task: StageTask, size: int, seed: int) -> np.ndarray:
    order = np.random.default_rng(derive_seed(seed, "budget", task.card.name)).permutation(len(task.pool))
    return task.pool[np.sort(order[:size])]


class _Run:
    """What the stages of one job share: backbone, reader, device, and the record that is written at the end."""

    def __init__(
        self, checkpoint: str | os.PathLike[str], tokenizer_dir: str | os.PathLike[str], model: Mapping[str, Any],
        tasks: Sequence[Mapping[str, Any]], settings: Mapping[str, Any] | None, seed: int, threads: int,
    ) -> None:
        self.started = time.monotonic()
        self.seed = seed
        self.model: Model = from_params(Model, model)
        self.settings: TrainingSettings = from_params(TrainingSettings, settings or tasks[0]["settings"])
        self.compute = prepare_compute(self.settings.precision, threads)
        self.reader = Reader(read_special_tokens(tokenizer_dir), self.model)
        self.backbone = load_backbone(checkpoint).to(self.compute.device)
        self.stages: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []
        self._heads: dict[str, torch.nn.Module] = {}
        self._families: dict[str, str] = {}

    @property
    def last_head(self) -> torch.nn.Module:
        """The head of the last stage."""
        return next(reversed(self._heads.values()))

    def train(self, name: str, tasks: Sequence[StageTask], recipe: Recipe, kind: str) -> None:
        """One stage; its seed comes from the job's seed and the names, so stages do not disturb one another."""
        seed = derive_seed(self.seed, kind, self.model.name, name)
        torch.manual_seed(seed)
        heads = torch.nn.ModuleDict({task.card.name: self._head(task) for task in tasks}).to(self.compute.device)
        if self.settings.gradient_checkpointing:
            self.backbone.checkpoint_gradients()
        schedule = draw_schedule(tasks, recipe, self.settings.max_steps, derive_seed(seed, "mixture"))
        LOG.info("%s stage '%s': %d steps", kind, name, len(schedule))
        stage = Stage(
            name, self.backbone, heads, tasks, schedule, self.settings, self.reader, self.compute, seed
        )
        started = time.monotonic()
        state = stage.run()
        self.log += state.log
        self.stages.append(_record(stage, state, time.monotonic() - started))
        LOG.info(
            "stage '%s': dev %s at step %d of %d, %.1f s, %.1f %% padding", name,
            "none" if state.best_score is None else f"{state.best_score:.2f}", state.best_step, len(schedule),
            time.monotonic() - started, 100 * state.tokens.padding_share,
        )
        self._heads = dict(heads.items())
        self._families = {task.card.name: task.card.family for task in tasks}

    def _head(self, task: StageTask) -> torch.nn.Module:
        head = task.family.build_head(task.card, self.backbone.hidden_size)
        for name, earlier in self._heads.items():
            shapes = [{key: value.shape for key, value in item.state_dict().items()} for item in (earlier, head)]
            if self._families[name] == task.card.family and shapes[0] == shapes[1]:
                return earlier
        return head

    def write_record(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write `training.json` and `log.jsonl` into the folder."""
        record = {
            **facts, "model": as_params(self.model), "seed": self.seed, "stages": self.stages,
            "seconds": round(time.monotonic() - self.started, 3), "versions": versions(),
            "dtype": str(self.compute.dtype).removeprefix("torch."), **describe_device(),
        }
        write_json(record, folder / "training.json")
        lines = [json.dumps(line, ensure_ascii=False) for line in self.log]
        (folder / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _record(stage: Stage, state: LoopState, seconds: float) -> dict[str, Any]:
    return {
        "name": stage.name,
        "settings": as_params(stage.settings),
        "tasks": [
            {"name": task.card.name, "metric": task.card.metric, "examples": len(task.pool),
             "settings": as_params(task.settings), "steps": int((stage.schedule[: state.step] == number).sum())}
            for number, task in enumerate(stage.tasks)
        ],
        "steps": state.step, "planned_steps": len(stage.schedule),
        "best_step": state.best_step, "best_score": state.best_score, "evaluations": state.evaluations,
        "tokens": state.tokens.real, "computed_tokens": state.tokens.computed,
        "padding_share": round(state.tokens.padding_share, 6),
        "dev_tokens": state.dev_tokens.real, "seconds": round(seconds, 3),
    }
