"""Evaluation during a stage: dev scores at scheduled steps, early stopping, and the weights of the best evaluation."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from stiltgrid.evaluation.prediction import TokenCount
from stiltgrid.training.dev_evaluation import dev_score
from stiltgrid.training.evaluation_schedule import EvaluationSchedule
from stiltgrid.training.process_group import ProcessGroup
from stiltgrid.training.resume import StateSaver
from stiltgrid.training.saved_state import SavedState
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.training.stage_state import LoopState
from stiltgrid.utils.logs import publish


class EarlyStopping:
    """Evaluates a stage and keeps a copy of the weights with the best mean of the tasks' dev scores.

    `best` is that copy, or None while there is none or where it is the last step's weights.
    """

    def __init__(
        self,
        plan: StagePlan,
        model: StageModel,
        parameters: Sequence[torch.nn.Parameter],
        state: LoopState,
        schedule: EvaluationSchedule,
        group: ProcessGroup,
    ) -> None:
        self.plan, self.model, self.parameters = plan, model, parameters
        self.state, self.schedule, self.group = state, schedule, group
        self.best: list[torch.Tensor] | None = None

    def is_due(self) -> bool:
        """Whether the schedule has an evaluation after the last step that has not been done."""
        return self.state.step != self.state.evaluated and self.schedule.due(self.state.step)

    def evaluate(self, saver: StateSaver, saved_state: Callable[[], SavedState]) -> bool:
        """Score the dev sets and keep the weights if they are the best so far; True when patience has run out."""
        count = TokenCount()
        with saver.interruptible(saved_state):
            scores = self.group.on_first(lambda: self._scores(count))
        state = self.state
        state.evaluated = state.step
        if not scores:
            return False
        state.dev_tokens.real += count.real
        state.dev_tokens.computed += count.computed
        score = float(np.mean(list(scores.values())))
        entry = {"stage": self.plan.name, "step": state.step, "dev": scores, "score": score}
        state.evaluations.append(entry)
        state.log.append(entry)
        publish(entry)
        if state.best_score is None or score > state.best_score:
            state.best_score, state.best_step, state.stale = score, state.step, 0
            self._keep_weights()
            return False
        state.stale += 1
        patience = self.plan.settings.patience
        return patience is not None and state.stale >= patience

    def _scores(self, count: TokenCount) -> dict[str, float]:
        return {task.card.name: dev_score(task, self.model, count) for task in self.plan.tasks if task.dev is not None}

    def _keep_weights(self) -> None:
        if self.state.step == self.plan.steps:
            self.best = None
            return
        current = [parameter.detach() for parameter in self.parameters]
        if self.best is None:
            self.best = [torch.empty_like(value) for value in current]
        torch._foreach_copy_(self.best, current)

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best weights back; a stage without evaluations keeps its last ones."""
        if self.state.best_score is None:
            self.state.best_step = self.state.step
        if self.best is not None and self.state.best_step != self.state.step:
            torch._foreach_copy_([parameter.detach() for parameter in self.parameters], self.best)
