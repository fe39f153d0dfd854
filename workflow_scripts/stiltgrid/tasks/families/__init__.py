"""The task families by name; a family is imported when it is first used."""

import importlib

from stiltgrid.tasks.families.base import Family

NAMES = ("sequence", "tagging", "span", "choice", "embedding", "dual")


def family(name: str) -> Family:
    """The family called `name`; raises KeyError for a name outside NAMES."""
    if name not in NAMES:
        raise KeyError(name)
    loaded: Family = importlib.import_module(f"stiltgrid.tasks.families.{name}").FAMILY
    return loaded
