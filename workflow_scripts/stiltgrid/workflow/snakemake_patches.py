"""Changes to what Snakemake does, each with its reason."""

import inspect
from collections.abc import Iterable
from typing import Any

PARAMETERS = "_overwrite_params"  # where `snakemake.common.overwrite_function_params` leaves them


def sign_functions(rules: Iterable[Any]) -> None:
    """Let every function among the rules' inputs, parameters and resources carry its signature.

    Snakemake asks for it several times a job: `inspect` takes one that is there instead of working it out, and
    Snakemake itself takes what `overwrite_function_params` leaves. Its own `Resource.evaluate`, through which every
    resource goes, is told likewise. Nothing is called otherwise than before.
    """
    for rule in rules:
        for item in (*rule.input, *rule.params):
            _sign(getattr(getattr(item, "_file", item), "callable", item))
        for resource in getattr(rule, "resources", None) or ():
            found = rule.resources[resource]
            _sign(getattr(found, "_evaluator", None))
            _sign(getattr(type(found), "evaluate", None), bound=True)


def _sign(function: Any, bound: bool = False) -> None:
    """Both memories of a plain function's parameters; of a method that is only called bound, without `self`."""
    if not inspect.isfunction(function) or hasattr(function, PARAMETERS):
        return
    signature = inspect.signature(function)
    parameters = dict(list(signature.parameters.items())[int(bound) :])
    if not bound:
        function.__signature__ = signature  # type: ignore[attr-defined]
    setattr(function, PARAMETERS, parameters)
