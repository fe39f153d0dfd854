"""Errors a user can act on: each names the place, what was expected, what was found, what is near."""

import difflib
from collections.abc import Iterable


class StiltgridError(Exception):
    """Base of every error that is the user's to mend; scripts print it without a traceback."""


class ConfigError(StiltgridError):
    """Everything that is wrong with config, cards or recipes, found in one pass."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the configuration:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class RowError(StiltgridError):
    """A row of a data set that its card does not describe."""

    def __init__(self, place: str, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"{place}: {problem}")


class SourceError(StiltgridError):
    """A data set, file or model that cannot be had where the configuration says it is."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """The sentence that helps after an unknown name: the closest valid one, or all when few."""
    options = sorted({str(option) for option in valid})
    close = difflib.get_close_matches(str(name), options, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if len(options) <= 12:
        return f"valid: {', '.join(options)}"
    return f"{len(options)} are valid, among them {', '.join(options[:8])}"
