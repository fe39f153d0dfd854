"""A grid small enough for pencil and paper, as metrics.json files."""

import json
from collections.abc import Mapping
from pathlib import Path

from stiltgrid.grid.layout import Column, Layout

NLI = Column("xnli", "accuracy", "test", ("de", "en", "zh"), "en")
TAGS = Column("udpos", "f1", "dev", ("de", "en"), "en")
PAIRS = Column("tatoeba", "accuracy", "dev", ("de", "zh"), None)

# intermediate -> target -> seed -> language -> score; by hand: see the golden numbers of test_tables.py
SCORES: Mapping[str, Mapping[str, Mapping[int, Mapping[str, float]]]] = {
    "none": {
        "xnli": {1: {"de": 50, "en": 70, "zh": 60}, 2: {"de": 54, "en": 72, "zh": 54}},
        "udpos": {1: {"de": 40, "en": 80}, 2: {"de": 44, "en": 84}},
        "tatoeba": {1: {"de": 30, "zh": 10}, 2: {"de": 30, "zh": 10}},
    },
    "mnli": {
        "xnli": {1: {"de": 56, "en": 76, "zh": 60}, 2: {"de": 63, "en": 78, "zh": 51}},
        "udpos": {1: {"de": 30, "en": 78}, 2: {"de": 32, "en": 80}},
        "tatoeba": {1: {"de": 30, "zh": 10}, 2: {"de": 32, "zh": 12}},
    },
    "squad_v1": {
        "xnli": {1: {"de": 50, "en": 70, "zh": 57}, 2: {"de": 54, "en": 72, "zh": 57}},
        "udpos": {1: {"de": 41, "en": 80}, 2: {"de": 45, "en": 84}},
        "tatoeba": {1: {"de": 20, "zh": 6}, 2: {"de": 22, "zh": 8}},
    },
}


def layout(seeds: tuple[int, ...] = (1, 2), synthetic: bool = False) -> Layout:
    """The layout of the grid above."""
    return Layout(("tiny",), tuple(SCORES), (NLI, TAGS, PAIRS), seeds, synthetic)


def write_metrics(folder: Path, scores: Mapping = SCORES, seeds: tuple[int, ...] = (1, 2)) -> list[Path]:
    """One metrics.json a cell, with a second metric and a second split that no table may mix in."""
    columns = {column.target: column for column in (NLI, TAGS, PAIRS)}
    paths = []
    for intermediate, targets in scores.items():
        for target, by_seed in targets.items():
            column = columns[target]
            for seed in seeds:
                rows = []
                for language, value in by_seed[seed].items():
                    row = {"language": language, "split": column.split, "metric": column.metric, "value": value, "n": 5}
                    rows += [row, {**row, "metric": "other", "value": 99.0}, {**row, "split": "train", "value": 98.0}]
                cell = {"model": "tiny", "intermediate": intermediate, "target": target, "seed": seed}
                path = folder / "tiny" / intermediate / target / f"seed{seed}" / "metrics.json"
                path.parent.mkdir(parents=True)
                content = {"cell": cell, "metric": column.metric, "split": column.split, "scores": rows}
                path.write_text(json.dumps({**content, "provenance": {}}))
                paths.append(path)
    return paths
