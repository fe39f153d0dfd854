"""Checks of the files of `tasks/benchmarks/`: their schema, and that benchmarks and cards name each other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.config.schema import Schemas
from stiltgrid.grid.benchmarks import FOLDER
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import nearest
from stiltgrid.utils.strict_yaml import scan_yaml


def benchmark_problems(
    root: Path, cards: Mapping[str, TaskCard], names: Sequence[str], schemas: Schemas
) -> Iterator[str]:
    """Everything wrong with the benchmarks below `root`. `names` are all tasks, `cards` those with a valid card."""
    known: dict[str, Any] = {}
    for path in sorted((root / FOLDER).glob("[a-z]*.yaml")):
        shown = f"{FOLDER}/{path.name}"
        content, found = scan_yaml(path, shown)
        yield from found
        if not found:
            errors = schemas.errors("benchmark.schema.yaml", content)
            yield from dict.fromkeys(f"{shown}: {error.sentence}" for error in errors)
            known[path.stem] = None if errors else content
    for name, content in known.items():
        for problem in _problems(name, content, cards, names) if content else ():
            yield f"{FOLDER}/{name}.yaml: {problem}"
    for card in cards.values() if known else ():
        for name in card.benchmarks:
            if name not in known:
                yield f"tasks/{card.name}.yaml: benchmarks: no file {FOLDER}/{name}.yaml, {nearest(name, known)}"


def _problems(
    benchmark: str, content: Mapping[str, Any], cards: Mapping[str, TaskCard], names: Sequence[str]
) -> Iterator[str]:
    tasks = dict.fromkeys(task for group in content["groups"].values() for task in group)
    for task in tasks:
        if task not in names:
            yield f"groups: no such task '{task}', {nearest(task, names)}"
        elif task in cards and benchmark not in cards[task].benchmarks:
            yield f"groups: '{task}' has no languages for it; list them in tasks/{task}.yaml, benchmarks.{benchmark}"
    for task in content.get("tasks", {}):
        if task not in tasks:
            yield f"tasks: '{task}' is in no group, {nearest(task, tasks)}"
