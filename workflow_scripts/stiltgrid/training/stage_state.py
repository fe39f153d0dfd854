"""The progress of a training stage, and its conversion into a saved state and back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch

from stiltgrid.evaluation.prediction import TokenCount
from stiltgrid.modeling.planning import ExampleOrder
from stiltgrid.training.process_group import ProcessGroup
from stiltgrid.training.saved_state import (
    SavedState,
    numbered,
    optimizer_tensors,
    random_state,
    restore_optimizer,
    restore_parameters,
    restore_random_state,
)

SCALARS = ("step", "evaluated", "best_step", "best_score", "stale", "limits", "log", "evaluations")


@dataclass
class LoopState:
    """The progress of a stage, beside its weights and optimizer state.

    `evaluated` is the step of the last evaluation, `stale` counts evaluations without improvement, `limits` are the
    tokens of a micro-batch by task.
    """

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


class ResumableStage(Protocol):
    """The parts of a stage that a saved state contains.

    `carried` are weights that an earlier stage of the job has trained and this one has not; `best` are those of the
    best evaluation so far.
    """

    state: LoopState
    parameters: list[torch.nn.Parameter]
    carried: Sequence[torch.nn.Parameter]
    best: list[torch.Tensor] | None
    optimizers: list[torch.optim.Optimizer]
    orders: list[ExampleOrder]
    group: ProcessGroup


def stage_state(stage: ResumableStage) -> SavedState:
    """Weights, best weights, moments, positions in the example orders, random states and progress."""
    tensors = {
        **numbered("parameter.", stage.parameters),
        **numbered("best.", stage.best or []),
        **numbered("carried.", stage.carried),
        **{
            f"optimizer.{number}.{name}": value
            for number, optimizer in enumerate(stage.optimizers)
            for name, value in optimizer_tensors(optimizer).items()
        },
        **{
            f"random{rank or ''}.{name}": value
            for rank, states in enumerate(stage.group.gather(random_state()))
            for name, value in states.items()
        },
        **numbered("order.", [torch.from_numpy(order.order) for order in stage.orders]),
    }
    state = stage.state
    facts = {
        **{name: getattr(state, name) for name in SCALARS},
        "tokens": asdict(state.tokens),
        "dev_tokens": asdict(state.dev_tokens),
        "orders": [{"epoch": order.epoch, "used": order.used} for order in stage.orders],
    }
    return SavedState(tensors, {"stage": facts})


def restore_stage(stage: ResumableStage, saved: SavedState) -> None:
    """Bring a newly built stage to the state that was saved."""
    facts: dict[str, Any] = saved.facts["stage"]
    restore_parameters(stage.parameters, saved.below("parameter."))
    restore_parameters(stage.carried, saved.below("carried."))
    best = saved.below("best.")
    if best:
        stage.best = [best[str(number)].to(value.device) for number, value in enumerate(stage.parameters)]
    for number, optimizer in enumerate(stage.optimizers):
        restore_optimizer(optimizer, saved.below(f"optimizer.{number}."))
    for number, order in enumerate(stage.orders):
        order.order = saved.tensors[f"order.{number}"].numpy()
        order.epoch, order.used = facts["orders"][number]["epoch"], facts["orders"][number]["used"]
    for name in SCALARS:
        setattr(stage.state, name, facts[name])
    for name in ("tokens", "dev_tokens"):
        count = getattr(stage.state, name)
        count.real, count.computed = facts[name]["real"], facts[name]["computed"]
    restore_random_state(saved.below(f"random{stage.group.rank or ''}."))
