"""A training stage as a saved state, and back."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from stiltgrid.training.resume import (
    SavedState,
    numbered,
    optimizer_tensors,
    random_state,
    restore_optimizer,
    restore_parameters,
    restore_random_state,
)

if TYPE_CHECKING:
    from stiltgrid.training.stage import Stage

SCALARS = ("step", "evaluated", "best_step", "best_score", "stale", "limits", "log", "evaluations")


def stage_state(stage: "Stage") -> SavedState:
    """Weights, best weights, moments, places in the samplers, random states, and what the loop has come to."""
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
            for rank, states in enumerate(stage.team.all(random_state()))
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


def restore_stage(stage: "Stage", saved: SavedState) -> None:
    """Bring a freshly built stage to where it was saved."""
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
    restore_random_state(saved.below(f"random{stage.team.rank or ''}."))
