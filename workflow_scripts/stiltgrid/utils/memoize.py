"""Memoization for functions that rules call for each of thousands of jobs. Imported at parse time, so kept light."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def memoize(function: Callable[P, T]) -> Callable[P, T]:
    """Cache a function of names or lists of names by its arguments.

    Unlike functools.cache it accepts lists. Callers share the result and must not change it.
    """
    results: dict[Any, T] = {}

    @functools.wraps(function)
    def cached(*args: P.args, **kwargs: P.kwargs) -> T:
        key = (*map(_hashable, args), *((name, _hashable(value)) for name, value in sorted(kwargs.items())))
        if key not in results:
            results[key] = function(*args, **kwargs)
        return results[key]

    return cached


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
