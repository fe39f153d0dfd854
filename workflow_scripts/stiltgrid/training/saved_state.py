"""The contents of a saved training state: tensors and facts, and how weights, optimizers and random states enter it."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class SavedState:
    """Tensors by name, and facts that JSON can represent."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def below(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names start with `prefix`, by the rest of their names."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}


def random_state() -> dict[str, torch.Tensor]:
    """The states of torch's random number generators; all other draws of a job have seeds of their own."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():  # the job's own device only: asking others would take memory of theirs
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(states: Mapping[str, torch.Tensor]) -> None:
    """Restore torch's random number generators."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """An optimizer's moments and counts by `parameter.name`; learning rates are set anew in each step."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Restore an optimizer's moments and counts."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@torch.no_grad()
def restore_parameters(parameters: Sequence[torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> None:
    """Restore weights by their number."""
    for number, parameter in enumerate(parameters):
        parameter.copy_(tensors[str(number)])


def numbered(prefix: str, tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by `prefix` and number."""
    return {f"{prefix}{number}": value.detach() for number, value in enumerate(tensors)}


def checksum(tensors: Mapping[str, torch.Tensor]) -> int:
    """CRC-32 of names and bytes."""
    found = 0
    for name in sorted(tensors):
        data = tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        found = zlib.crc32(data.data, zlib.crc32(name.encode(), found))
    return found
