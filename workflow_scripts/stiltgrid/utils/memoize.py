"""What thousands of jobs ask alike is answered once: memories for the rules' functions. Imported at parse: light."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def memoize(function: Callable[P, T]) -> Callable[P, T]:
    """A function of names, or of lists of names, that is computed once for each.

    The answer is shared: its callers must not change it.
    """
    found: dict[Any, T] = {}

    @functools.wraps(function)
    def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        key = (*map(_hashable, args), *((name, _hashable(value)) for name, value in sorted(kwargs.items())))
        if key not in found:
            found[key] = function(*args, **kwargs)
        return found[key]

    return ask


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
