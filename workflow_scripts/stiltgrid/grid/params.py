"""Conversion of data classes to plain containers for Snakemake's params, and back."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

# For a field that was added later: it is left out of params at its default, so that no job that does not use it reruns.
QUIET: Mapping[str, bool] = {"quiet": True}


def as_params(value: Any) -> Any:
    """A data class or mapping as plain sorted containers, whose text is stable for Snakemake's params trigger.

    Fields marked QUIET are left out at their default.
    """
    if hasattr(value, "__dataclass_fields__"):
        silent = [item.name for item in fields(value) if "quiet" in item.metadata]
        unset = {name for name in silent if getattr(value, name) == type(value).__dataclass_fields__[name].default}
        value = {name: item for name, item in asdict(value).items() if name not in unset}
    if isinstance(value, Mapping):
        return {str(key): as_params(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [as_params(item) for item in value]
    return value


def from_params(kind: type, params: Mapping[str, Any]) -> Any:
    """The inverse of `as_params` for flat data classes; lists become tuples and unknown keys are ignored."""
    known = {item.name for item in fields(kind)}
    return kind(**{key: _frozen(value) for key, value in params.items() if key in known})


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return value
