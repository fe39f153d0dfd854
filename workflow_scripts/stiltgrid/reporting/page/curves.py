"""Training and development curves, thinned, from the `log.jsonl` of training jobs."""

import json
import os
from pathlib import Path
from typing import Any

from stiltgrid.utils.errors import SourceError


def read_curve(path: str | os.PathLike[str], points: int) -> dict[str, Any]:
    """Steps, mean losses and development scores of a stage.

    `loss` has at most `points` pairs [last step, mean loss] of as many logged steps each; `dev` maps each task to pairs
    [step, score from 0 to 100]. Raises SourceError for a line that is not such a record.
    """
    losses: list[tuple[int, float]] = []
    dev: dict[str, list[list[float]]] = {}
    number = 0
    try:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            number += 1
            record = json.loads(line)
            if "dev" in record:
                for task, score in record["dev"].items():
                    dev.setdefault(task, []).append([record["step"], round(score, 2)])
            elif "loss" in record:
                losses.append((record["step"], record["loss"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path}: line {number}: expected a record of a step, found {type(error).__name__}: {error}"
        ) from error
    return {
        "steps": losses[-1][0] if losses else 0,
        "loss": _thinned(losses, points),
        "dev": {task: _spaced(values, points) for task, values in dev.items()},
    }


def _thinned(losses: list[tuple[int, float]], points: int) -> list[list[float]]:
    size = max(1, -(-len(losses) // points))
    parts = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [[part[-1][0], float(f"{sum(loss for _, loss in part) / len(part):.4g}")] for part in parts]


def _spaced(values: list[list[float]], points: int) -> list[list[float]]:
    """At most `points` values at equal distances, the last one among them."""
    every = max(1, -(-len(values) // points))
    return values[::-1][::every][::-1]
