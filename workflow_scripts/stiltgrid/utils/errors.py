"""Errors that a user can act on. Each names the place, what was expected, what was found and the nearest valid name."""

import difflib
from collections.abc import Iterable


class StiltgridError(Exception):
    """Base of all errors that the user can fix; scripts print them without a traceback."""


class ConfigError(StiltgridError):
    """All problems of the configuration, the cards and the recipes, found in one pass."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the configuration:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class RowError(StiltgridError):
    """A row of a data set that does not have the form its card describes."""

    def __init__(self, place: str, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"{place}: {problem}")


class SourceError(StiltgridError):
    """A data set, file or model that is not where the configuration says it is, or cannot be read."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """The hint after an unknown name: the closest valid one, whatever its case, or all of them where they are few."""
    options = sorted({str(option) for option in valid})
    folded = {option.casefold(): option for option in reversed(options)}
    close = difflib.get_close_matches(str(name).casefold()[:200], folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{folded[close[0]]}'?"
    if len(options) <= 12:
        return f"valid: {', '.join(options)}"
    return f"{len(options)} are valid, among them {', '.join(options[:8])}"
