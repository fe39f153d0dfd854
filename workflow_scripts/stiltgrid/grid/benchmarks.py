"""Benchmarks: lists of tasks with a rule for their averages, read from the files of `tasks/benchmarks/`.

Which languages of a task count for a benchmark is in the task's card (`benchmarks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from stiltgrid.utils.strict_yaml import read_yaml

ROOT = Path(__file__).parents[3]
FOLDER = "tasks/benchmarks"
F1_AND_EXACT_MATCH, EXAMPLES = "f1_and_exact_match", "examples"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. `rules` names the tasks whose number is not the plain mean over languages; see the schema."""

    name: str
    title: str
    official: bool
    overall: str
    groups: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, str] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, each once."""
        return tuple(dict.fromkeys(task for group in self.groups.values() for task in group))


def benchmark_files(root: Path = ROOT) -> dict[str, Any]:
    """Name -> content of every benchmark's file, the published ones first."""
    paths = sorted((root / FOLDER).glob("[a-z]*.yaml"))
    found = {path.stem: read_yaml(path) for path in paths}
    return dict(sorted(found.items(), key=lambda item: (item[1].get("average") != "official", item[0])))


@cache
def benchmarks() -> Mapping[str, Benchmark]:
    """Name -> benchmark, of the repository's files, which were checked when the configuration was loaded."""
    return {
        name: Benchmark(
            name=name,
            title=content["title"],
            official=content["average"] == "official",
            overall=content["overall"],
            groups={group: tuple(members) for group, members in content["groups"].items()},
            rules=content.get("tasks", {}),
        )
        for name, content in benchmark_files().items()
    }
