"""A grid as large as a results page is promised to hold: 100 cells, 50 languages, 3 seeds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from page_grid import FACTS, PageGrid
from stiltgrid.analysis.language_groups import known_languages, write_gaps
from stiltgrid.analysis.significance import COLUMNS as TESTED
from stiltgrid.analysis.significance import LANGUAGE_COLUMNS
from stiltgrid.analysis.tables import collect_scores, write_transfer, write_tsv
from stiltgrid.grid.layout import Column, Layout
from stiltgrid.reporting.page.page import PageFiles


def write_large_grid(folder: Path) -> tuple[PageGrid, dict[str, Any]]:
    """100 cells in 50 languages at 3 seeds, with 20 long examples a language; intervals as the tables have them.

    Returns the grid and the facts that its page needs.
    """
    codes = tuple(list(known_languages())[:50])
    columns = tuple(Column(f"target{number}", "accuracy", "test", codes) for number in range(10))
    layout = Layout(("large",), ("none", *(f"row{number}" for number in range(9))), columns, (1, 2, 3))
    draw, metrics, predictions, rows = np.random.default_rng(1), [], {}, {}
    keys = [(code, number) for code in codes for number in range(20)]
    names = {
        "id": [f"{code}-{number}" for code, number in keys],
        "language": [code for code, _ in keys],
        "split": ["test"] * len(keys),
    }
    for column in columns:
        rows[column.target] = folder / f"{column.target}.parquet"
        texts = {"text_a": ["лорем ипсум " * 60] * len(keys), "text_b": ["dolor sit " * 60] * len(keys)}
        pq.write_table(pa.table({**names, **texts, "label": [0] * len(keys)}), rows[column.target])
        for row in layout.intermediates:
            for seed in layout.seeds:
                scores = [
                    {
                        "language": code,
                        "split": "test",
                        "metric": "accuracy",
                        "value": float(draw.random() * 100),
                        "n": 20,
                    }
                    for code in codes
                ]
                path = folder / f"{row}/{column.target}/{seed}/metrics.json"
                path.parent.mkdir(parents=True)
                cell = {"model": "large", "intermediate": row, "target": column.target, "seed": seed}
                path.write_text(json.dumps({"cell": cell, "scores": scores, "provenance": {}}))
                metrics.append(path)
            score = draw.integers(0, 2, len(keys)).astype(float)
            given = {"prediction": ["yes" if right else "no" for right in score], "gold": ["yes"] * len(keys)}
            path = folder / f"{row}/{column.target}/1/predictions.parquet"
            pq.write_table(pa.table({**names, **given, "score": score}), path)
            predictions["large", row, column.target, 1] = path
    collect_scores(metrics, folder / "scores.parquet", synthetic=False)
    write_transfer(folder / "scores.parquet", layout, folder / "transfer.tsv", folder / "transfer_by_language.tsv")
    write_gaps(folder / "scores.parquet", layout, folder / "language_gaps.tsv", folder / "language_groups.tsv")
    test = {
        "split": "test",
        "metric": "accuracy",
        "statistic": "mean over examples",
        "seeds": 3,
        "n": 20,
        "p": "0.00123",
    }
    numbers = {name: float(draw.random()) for name in ("score", "none", "gain", "sd", "se", "low", "high")}
    cells = [
        {
            "model": "large",
            "intermediate": row,
            "target": column.target,
            **test,
            **numbers,
            "p_holm": "0.5",
            "p_bh": "0.5",
        }
        for column in columns
        for row in layout.rows
    ]
    write_tsv(TESTED, cells, folder / "significance.tsv", synthetic=False)
    each = ({**cell, "language": code} for cell in cells for code in codes)
    write_tsv(LANGUAGE_COLUMNS, each, folder / "significance_by_language.tsv", synthetic=False)
    target = {"family": "sequence", "labels": ["yes"], "about": "", "tuned": "", "origin": "x"}
    facts = {
        **FACTS, "models": {"large": "x"}, "chains": {row: [row] for row in layout.intermediates},
        "targets": {column.target: target for column in columns},
    }  # fmt: skip
    return PageGrid(layout, PageFiles(folder, predictions, rows, ())), facts
