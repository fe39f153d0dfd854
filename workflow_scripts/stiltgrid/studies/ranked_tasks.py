"""Tasks ranked by what a model learned of them in English: development score between chance (0) and best (1)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.analysis.statistics import estimate
from stiltgrid.analysis.tables import AnyPath, write_tsv
from stiltgrid.studies.errors import StudyError

COLUMNS = ("model", "rank", "task", "metric", "dev", "chance", "best", "normalised", "seeds")


def dev_scores(records: Iterable[AnyPath]) -> dict[str, dict[str, dict[int, float]]]:
    """Model -> row -> seed -> best English development score, of `training.json` files of rows of one task.

    Raises StudyError where a row was trained without development data.
    """
    found: dict[str, dict[str, dict[int, float]]] = {}
    for path in records:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        score = record["stages"][-1]["best_score"]
        if score is None:
            raise StudyError(f"{path}: trained without a development score, so the task cannot be ranked")
        by_row = found.setdefault(record["model"]["name"], {})
        by_row.setdefault(record["intermediate"], {})[int(record["seed"])] = float(score)
    return found


def rank_tasks(
    records: Iterable[AnyPath], tasks: Sequence[Mapping[str, Any]], out: AnyPath, *, synthetic: bool
) -> None:
    """Write `ranking.tsv`: each model's tasks, best first. `tasks` have name, metric, chance and best (points).

    Equal scores are put in the order of their names.
    """
    lines = []
    for model, by_task in dev_scores(records).items():
        rows = []
        for task in tasks:
            mean = estimate(by_task[task["name"]].values())
            share = (mean.value - task["chance"]) / (task["best"] - task["chance"])
            rows.append({
                "model": model, "task": task["name"], "metric": task["metric"], "dev": mean.value,
                "chance": float(task["chance"]), "best": float(task["best"]), "normalised": share, "seeds": mean.n,
            })  # fmt: skip
        rows.sort(key=lambda row: (-row["normalised"], row["task"]))
        lines += [{**row, "rank": rank} for rank, row in enumerate(rows, start=1)]
    write_tsv(COLUMNS, lines, out, synthetic=synthetic)
