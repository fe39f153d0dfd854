"""The loop of one stage: sums over micro-batches, early stopping, the best weights kept, state saved on the way."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stiltgrid.evaluation.prediction import Reader, TokenCount
from stiltgrid.grid.grid import TrainingSettings
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.optimizers import linear_schedule, set_rate
from stiltgrid.modeling.planning import pass_cost, plan_step
from stiltgrid.training.dev_evaluation import dev_score, plan_development
from stiltgrid.training.process_group import ALONE, Team
from stiltgrid.training.resume import Keeper, SavedState
from stiltgrid.training.stage_state import stage_state
from stiltgrid.training.trainable import stage_optimizers
from stiltgrid.training.training_data import StageTask
from stiltgrid.training.vocabulary_subset import cut_table, decay_left
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.utils.seeding import derive_seed

LOG = logging.getLogger(__name__)
LOG_LINES = 1000


class TrainingError(StiltgridError):
    """A run that cannot go on, naming step, task and examples."""


@dataclass
class LoopState:
    """All that a stage has come to, beside weights and optimiser: what a resumed run must bring back."""

    step: int = 0
    evaluated: int = 0
    best_step: int = 0
    best_score: float | None = None
    stale: int = 0
    tokens: TokenCount = field(default_factory=TokenCount)
    dev_tokens: TokenCount = field(default_factory=TokenCount)
    limits: list[int] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)


class Stage:
    """One stage of training: some tasks, one head each, a schedule of which task each step takes."""

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        heads: torch.nn.ModuleDict,
        tasks: Sequence[StageTask],
        schedule: np.ndarray,
        settings: TrainingSettings,
        reader: Reader,
        compute: Compute,
        seed: int,
        team: Team = ALONE,
    ) -> None:
        self.team = team
        self.name, self.backbone, self.heads = name, backbone, heads
        self.schedule, self.settings, self.reader, self.compute = schedule, settings, reader, compute
        self.tasks, self.looks = plan_development(name, tasks, schedule, settings)
        self.orders = [task.order(derive_seed(seed, name, task.card.name, "order")) for task in tasks]
        # Once each: the head of a language model shares the table of the vocabulary with the backbone.
        every = dict.fromkeys([*backbone.parameters(), *heads.parameters()])
        self.parameters = [item for item in every if item.requires_grad]
        # With the rows that the data do not hold: they decay as if they were trained.
        self.cut = cut_table(backbone.token_embeddings)
        spared = 0 if self.cut is None else self.cut.spared
        self.trained_parameters = sum(item.numel() for item in self.parameters) + spared
        # Weights that this stage does not train but an earlier one of the job has: a resumed run needs them too.
        self.carried: Sequence[torch.nn.Parameter] = ()
        self.optimizers = stage_optimizers(backbone, self.parameters, settings)
        self.packed = backbone.enable_packing(compute)
        self.cost = pass_cost(compute.device.type, backbone.hidden_layers, backbone.matrix_parameters)
        self.state = LoopState(limits=[task.settings.micro_batch_tokens for task in tasks])
        self.best: list[torch.Tensor] | None = None
        self._unread: deque[tuple[int, int, np.ndarray, torch.Tensor, dict[str, Any]]] = deque()
        self._read_every = 1 if compute.device.type == "cpu" else 25

    def _clear_gradients(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def run(self, keeper: Keeper | None = None, around: Callable[[], dict[str, Any]] = dict) -> LoopState:
        """Train to the end of the schedule or until dev stops improving; leave the best weights in place.

        The keeper saves the stage's state as it goes, with the facts `around` it. Raises Interrupted when told to.
        """
        self.keeper, self._around = keeper or Keeper(), around
        steps = len(self.schedule)
        self.backbone.train()
        self.heads.train()
        hidden = True if self.team.rank else None  # None: where there is no terminal
        bar = tqdm(total=steps, initial=self.state.step, desc=self.name, unit="step", disable=hidden, leave=False)
        with bar, self.keeper.watch():
            while not (self._evaluation_is_due() and self._evaluate()) and self.state.step < steps:
                self.keeper.after_step(self.saved_state)
                self._step(int(self.schedule[self.state.step]))
                bar.update()
        self._read_losses()
        self._restore_best()
        if self.cut is not None:
            self.cut.decayed = decay_left(map(self._rate, range(self.state.best_step)), self.settings.weight_decay)
        return self.state

    def _rate(self, step: int) -> float:
        """The learning rate of a step, 0 for the first: its task's, at the schedule's share."""
        share = linear_schedule(step, len(self.schedule), self.settings.warmup_share)
        return share * self.tasks[self.schedule[step]].settings.learning_rate

    def saved_state(self) -> SavedState:
        """All that goes on from here: the stage's own, and the facts around it."""
        self._read_losses()
        state = stage_state(self)
        return replace(state, facts={**state.facts, **self._around()})

    def _evaluation_is_due(self) -> bool:
        return self.state.step != self.state.evaluated and self.looks.due(self.state.step)

    def _step(self, which: int) -> None:
        """One optimiser step on exactly `batch_size` examples of one task."""
        settings, state = self.tasks[which].settings, self.state
        examples = self.orders[which].take(settings.batch_size)
        while True:
            reason = None
            try:
                total, step_tokens, micro_batches = self._gradients(which, examples)
            except torch.OutOfMemoryError as error:
                reason = str(error).partition("\n")[0]
            if not self.team.largest(int(reason is not None)):
                break
            # Outside the handler: the error's traceback would hold the memory that is to be freed.
            self._clear_gradients()
            torch.cuda.empty_cache()
            self._halve(which, examples, reason or "in another process")
        self.team.sum_gradients(self.parameters)
        total, counts = self.team.sum(total, [step_tokens.real, step_tokens.computed, micro_batches])
        step_tokens, micro_batches = TokenCount(*counts[:2]), counts[2]
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, settings.max_grad_norm or float("inf"))
        share = linear_schedule(state.step, len(self.schedule), self.settings.warmup_share)
        set_rate(self.optimizers, share, settings.learning_rate / self.settings.learning_rate)
        for optimizer in self.optimizers:
            optimizer.step()
        self._clear_gradients()
        state.step += 1
        state.tokens.real += step_tokens.real
        state.tokens.computed += step_tokens.computed
        line = {
            "learning_rate": share * settings.learning_rate,
            "tokens": step_tokens.real,
            "computed_tokens": step_tokens.computed,
            "micro_batches": micro_batches,
        }
        self._unread.append((state.step, which, examples, torch.stack([total, norm.to(total)]), line))
        if len(self._unread) >= self._read_every:
            self._read_losses()

    def _plan(self, which: int, examples: np.ndarray) -> list[np.ndarray]:
        """Micro-batches of a step's examples, under the limit that memory has taught."""
        task = self.tasks[which]
        return plan_step(
            task.train,
            task.offsets,
            examples,
            self.state.limits[which],
            self.cost,
            task.family.splits_batches,
            task.family.splits_examples,
            self.packed,
        )

    def _plan_share(self, which: int, examples: np.ndarray) -> list[np.ndarray]:
        """Micro-batches of this process's share of a step; the first has all where a step must not be parted."""
        task = self.tasks[which]
        if not task.family.splits_batches:
            return self._plan(which, examples) if self.team.rank == 0 else []
        share = self.team.share(examples, task.train.lengths[task.offsets[examples]])
        return self._plan(which, share) if len(share) else []

    def _gradients(self, which: int, examples: np.ndarray) -> tuple[torch.Tensor, TokenCount, int]:
        """The summed loss of a step's examples, their tokens, and in how many micro-batches they went."""
        task, micro_batches = self.tasks[which], self._plan(which, examples)
        rows = np.concatenate(micro_batches)
        if self.team.size > 1:
            micro_batches = self._plan_share(which, examples)
        weight = max(task.loss_weight(rows, self.state.step), 1e-9)
        step_tokens = TokenCount()
        total = torch.zeros((), device=self.compute.device)
        for micro_batch in micro_batches:
            batch = task.batch(self.reader, micro_batch, self.state.step, self.packed)
            step_tokens.add(batch)
            total += self._backward(task, batch.to(self.compute.device), weight)
        return total, step_tokens, len(micro_batches)

    def _halve(self, which: int, examples: np.ndarray, reason: str) -> None:
        """Out of memory: the same examples in more and smaller micro-batches, from this step on."""
        task, limits = self.tasks[which], self.state.limits
        place = f"stage '{self.name}', step {self.state.step + 1} of {len(self.schedule)}, task '{task.card.name}'"
        tried = len(self._plan(which, examples))
        while limits[which] > 1 and len(self._plan(which, examples)) <= tried:
            limits[which] //= 2
        if len(self._plan(which, examples)) <= tried:
            smallest = "one example" if task.family.splits_batches else "a whole step (lower batch_size)"
            raise TrainingError(
                f"{place}: out of memory ({reason}), and a micro-batch cannot be less than {smallest}; "
                "lower max_length or set gradient_checkpointing: true"
            )
        told = "%s: out of memory; micro_batch_tokens lowered to %d, still %d examples a step (%s)"
        LOG.warning(told, place, limits[which], len(examples), reason)

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
                self.state.log.append(
                    {
                        "stage": self.name,
                        "step": step,
                        "task": task.card.name,
                        "loss": loss,
                        "gradient_norm": norm,
                        **line,
                        "padding_share": 1 - line["tokens"] / line["computed_tokens"],
                    }
                )
        self._unread.clear()

    def _evaluate(self) -> bool:
        """Score the dev sets, keep the weights if they are the best so far; True when patience has run out."""
        self._read_losses()
        count = TokenCount()
        with self.keeper.pause(self.saved_state):
            scores = self.team.first(lambda: self._dev_scores(count))
        self.state.evaluated = self.state.step
        if not scores:
            return False
        self.state.dev_tokens.real += count.real
        self.state.dev_tokens.computed += count.computed
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

    def _dev_scores(self, count: TokenCount) -> dict[str, float]:
        return {task.card.name: self._dev_score(task, count) for task in self.tasks if task.dev is not None}

    def _dev_score(self, task: StageTask, count: TokenCount) -> float:
        return dev_score(task, self.backbone, self.heads[task.card.name], self.reader, self.compute, count)

    def _keep_best(self) -> None:
        if self.state.step == len(self.schedule):
            self.best = None
            return
        current = [parameter.detach() for parameter in self.parameters]
        if self.best is None:
            self.best = [torch.empty_like(value) for value in current]
        torch._foreach_copy_(self.best, current)

    @torch.no_grad()
    def _restore_best(self) -> None:
        if self.state.best_score is None:
            self.state.best_step = self.state.step
        if self.best is not None and self.state.best_step != self.state.step:
            torch._foreach_copy_([parameter.detach() for parameter in self.parameters], self.best)
