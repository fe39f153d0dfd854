"""Score tables with a planted truth, for the studies' tests: one line of numbers in, metrics.json files out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from stiltgrid.analysis.tables import collect_scores
from stiltgrid.grid.layout import Layout

Score = Callable[[str, str, str, int, str], float]  # model, row, target, seed, language


def write_scores(folder: Path, layout: Layout, score: Score) -> Path:
    """A `scores.parquet` of every cell of a layout."""
    paths = []
    for model in layout.models:
        for row in layout.intermediates:
            for column in layout.columns:
                for seed in layout.seeds:
                    path = folder / model / row / column.target / f"seed{seed}.json"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    place = {"model": model, "intermediate": row, "target": column.target, "seed": seed}
                    lines = [
                        {"language": language, "split": column.split, "metric": column.metric, "n": 100,
                         "value": score(model, row, column.target, seed, language)}
                        for language in column.languages
                    ]  # fmt: skip
                    path.write_text(json.dumps({"cell": place, "scores": lines}))
                    paths.append(path)
    out = folder / "scores.parquet"
    collect_scores(paths, out, synthetic=False)
    return out


def write_records(folder: Path, layout: Layout, examples: Mapping[str, Mapping[str, int]]) -> list[Path]:
    """A `training.json` of every row with an intermediate stage; `examples` are those drawn, by row and task."""
    paths = []
    for model in layout.models:
        for row, tasks in examples.items():
            for seed in layout.seeds:
                path = folder / "records" / model / row / f"seed{seed}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                stage = {"tasks": [{"name": task, "examples": count} for task, count in tasks.items()]}
                record = {"model": {"name": model}, "intermediate": row, "seed": seed, "stages": [stage]}
                path.write_text(json.dumps(record))
                paths.append(path)
    return paths
