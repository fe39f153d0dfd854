"""The loop of one stage: gradients summed over micro-batches, one optimizer step after another, until dev stops it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stiltgrid.evaluation.prediction import TokenCount
from stiltgrid.modeling.optimizers import linear_schedule, set_rate
from stiltgrid.modeling.pass_graphs import Recorder
from stiltgrid.modeling.planning import pass_cost
from stiltgrid.training.dev_evaluation import schedule_dev_evaluations
from stiltgrid.training.early_stopping import EarlyStopping
from stiltgrid.training.micro_batches import MicroBatches, out_of_memory_reason
from stiltgrid.training.process_group import SINGLE_PROCESS, ProcessGroup
from stiltgrid.training.recorded_update import KeptGradients, RecordedUpdate
from stiltgrid.training.resume import StateSaver
from stiltgrid.training.saved_state import SavedState
from stiltgrid.training.stage_graphs import stage_graphs
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.training.stage_state import LoopState, stage_state
from stiltgrid.training.step_log import STEPS_BETWEEN_READS, Step, StepLog
from stiltgrid.training.trainable import stage_optimizers
from stiltgrid.training.training_data import StageTask
from stiltgrid.training.vocabulary_subset import remaining_weight, subset_of
from stiltgrid.utils.seeding import derive_seed


class Stage:
    """One stage of training: some tasks with a head each, and a schedule of the task that each step trains.

    `state` is its progress; `read_every` is the number of steps after which losses are read back from the device,
    by default 1 on a CPU. `make_recorder` takes the place of CUDA's recorder where there is no GPU.
    """

    def __init__(
        self,
        plan: StagePlan,
        model: StageModel,
        group: ProcessGroup = SINGLE_PROCESS,
        read_every: int | None = None,
        make_recorder: Callable[[], Recorder] | None = None,
    ) -> None:
        tasks, self.evaluation_schedule = schedule_dev_evaluations(plan)
        self.plan = plan = replace(plan, tasks=tasks)
        self.model, self.group, self.settings = model, group, plan.settings
        backbone, device = model.backbone, model.compute.device.type
        self.orders = [task.order(derive_seed(plan.seed, plan.name, task.card.name, "order")) for task in tasks]
        # Each once: the head of a language model shares the embedding table with the backbone.
        every = dict.fromkeys([*backbone.parameters(), *model.heads.parameters()])
        self.parameters = [item for item in every if item.requires_grad]
        # Rows outside a vocabulary subset count as trained: weight decay reaches them.
        self.subset = subset_of(backbone.token_embeddings)
        omitted = 0 if self.subset is None else self.subset.omitted
        self.trained_parameters = sum(item.numel() for item in self.parameters) + omitted
        # Trained by an earlier stage of the job, not by this one: a resumed job needs them too.
        self.carried: Sequence[torch.nn.Parameter] = ()
        self.optimizers = stage_optimizers(backbone, self.parameters, plan.settings)
        self.packed = backbone.enable_packing(model.compute)
        cost = pass_cost(device, backbone.hidden_layers, backbone.matrix_parameters)
        self.state = LoopState(limits=[task.settings.micro_batch_tokens for task in tasks])
        self.micro_batches = MicroBatches(plan, self.state, cost, self.packed, group)
        self.graphs = stage_graphs(plan, model, self.micro_batches, cost, make_recorder)
        self.kept = None if self.graphs is None else KeptGradients(self.parameters, self.graphs.gradients)
        recorder = None if self.graphs is None else self.graphs.recorder
        self.update = RecordedUpdate(self.optimizers, self.parameters, recorder)
        self.log = StepLog(plan, self.state, read_every or (1 if device == "cpu" else STEPS_BETWEEN_READS))
        self.early_stopping = EarlyStopping(plan, model, self.parameters, self.state, self.evaluation_schedule, group)

    @property
    def best(self) -> list[torch.Tensor] | None:
        """The weights of the best evaluation, as `EarlyStopping` keeps them."""
        return self.early_stopping.best

    @best.setter
    def best(self, weights: list[torch.Tensor] | None) -> None:
        self.early_stopping.best = weights

    def run(self, saver: StateSaver | None = None, job_facts: Callable[[], dict[str, Any]] = dict) -> LoopState:
        """Train to the end of the schedule or until dev scores stop improving; the best weights stay in the model.

        The saver saves the stage's state and the `job_facts` at intervals. Raises Interrupted after a signal.
        """
        saver, saved_state = saver or StateSaver(), partial(self.saved_state, job_facts)
        state, steps = self.state, self.plan.steps
        self.model.backbone.train()
        self.model.heads.train()
        hidden = True if self.group.rank else None  # None: where there is no terminal
        bar = tqdm(total=steps, initial=state.step, desc=self.plan.name, unit="step", disable=hidden, leave=False)
        with bar, saver.catch_signals():
            while not (self.early_stopping.is_due() and self._evaluate(saver, saved_state)) and state.step < steps:
                saver.before_step(saved_state)
                self.step(int(self.plan.schedule[state.step]))
                bar.update()
        self.log.read()
        self.early_stopping.restore_best()
        if self.subset is not None:
            rates = map(self._rate, range(state.best_step))
            self.subset.decayed = remaining_weight(rates, self.settings.weight_decay)
        return state

    def _evaluate(self, saver: StateSaver, saved_state: Callable[[], SavedState]) -> bool:
        self.log.read()
        return self.early_stopping.evaluate(saver, saved_state)

    def _schedule_share(self, step: int) -> float:
        return linear_schedule(step, self.plan.steps, self.settings.warmup_share)

    def _rate(self, step: int) -> float:
        """The learning rate of a step (0 is the first): its task's rate times the schedule's share."""
        return self._schedule_share(step) * self.plan.tasks[self.plan.schedule[step]].settings.learning_rate

    def saved_state(self, job_facts: Callable[[], dict[str, Any]] = dict) -> SavedState:
        """All that a resumed job needs: the stage's state and the facts of the job."""
        self.log.read()
        state = stage_state(self)
        return replace(state, facts={**state.facts, **job_facts()})

    def step(self, which: int) -> None:
        """One optimizer step on exactly `batch_size` examples of task number `which`."""
        settings, state = self.plan.tasks[which].settings, self.state
        examples = self.orders[which].take(settings.batch_size)
        total, tokens, micro_batches = self._summed_gradients(which, examples)
        if self.kept is not None and not self.kept.keep(which):
            self.update.stop("this step trains other weights than the first one did")
        share = self._schedule_share(state.step)
        set_rate(self.optimizers, share, settings.learning_rate / self.settings.learning_rate)
        norm = self.update(which, settings.max_grad_norm or float("inf"))
        self._clear_gradients()
        state.step += 1
        state.tokens.real += tokens.real
        state.tokens.computed += tokens.computed
        facts = {
            "learning_rate": share * settings.learning_rate,
            "tokens": tokens.real,
            "computed_tokens": tokens.computed,
            "micro_batches": micro_batches,
        }
        self.log.add(Step(state.step, which, examples, torch.stack([total, norm.to(total)]), facts))

    def _summed_gradients(self, which: int, examples: np.ndarray) -> tuple[torch.Tensor, TokenCount, int]:
        """Gradients, loss, tokens and micro-batches of a step, summed over the processes; retried when memory ends."""
        while True:
            reason = None
            try:
                total, tokens, micro_batches = self._gradients(which, examples)
            except torch.OutOfMemoryError as error:
                reason = out_of_memory_reason(error)
            if not self.group.maximum(int(reason is not None)):
                break
            # Outside the handler: the error's traceback would hold the memory that is to be freed.
            self._clear_gradients()
            torch.cuda.empty_cache()
            self.micro_batches.shrink(which, examples, reason or "in another process")
        self.group.sum_gradients(self.parameters)
        total, counts = self.group.sum(total, [tokens.real, tokens.computed, micro_batches])
        return total, TokenCount(*counts[:2]), counts[2]

    def _gradients(self, which: int, examples: np.ndarray) -> tuple[torch.Tensor, TokenCount, int]:
        """Accumulate this process's gradients; the summed loss, the tokens and the number of micro-batches."""
        if self.kept is not None:
            self.kept.clear(which)
        task, micro_batches = self.plan.tasks[which], self.micro_batches.of_step(which, examples)
        rows = np.concatenate(micro_batches)
        if self.group.size > 1:
            micro_batches = self.micro_batches.of_process(which, examples)
        weight = max(task.loss_weight(rows, self.state.step), 1e-9)
        tokens = TokenCount()
        total = torch.zeros((), device=self.model.compute.device)
        for micro_batch in micro_batches:
            batch = task.batch(self.model.reader, micro_batch, self.state.step, self.packed)
            tokens.add(batch)
            tokens.computed += 0 if self.graphs is None else self.graphs.filling(batch)
            total += self._backward(task, batch.to(self.model.compute.device), weight)
        return total, tokens, len(micro_batches)

    def _backward(self, task: StageTask, batch: Any, weight: float) -> torch.Tensor:
        model = self.model
        with model.compute.autocast():
            hidden = (self.graphs or model.backbone)(batch)
            loss = task.family.loss(task.card, model.heads[task.card.name], hidden, batch).float() / weight
        loss.backward()
        return loss.detach()

    def _clear_gradients(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
