"""Tables of a selection: earlier grids of several forms, rounds, and what is refused with a sentence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from grids import layout, write_metrics
from stiltgrid.analysis.tables import collect_scores
from stiltgrid.selection.earlier import read_earlier
from stiltgrid.selection.tables import ProposedCell, read_round, write_round
from stiltgrid.utils.errors import SourceError

NEW = replace(layout(), models=("larger",))


def test_scores_of_a_grid_are_means_over_languages_on_the_headline(tmp_path: Path) -> None:
    collect_scores(write_metrics(tmp_path / "scores"), tmp_path / "scores.parquet", synthetic=False)
    (grid,) = read_earlier([tmp_path / "scores.parquet"], NEW)
    assert grid.name.endswith(": tiny") and grid.scores.shape == (3, 3, 2)
    # xnli, none: (50 + 70 + 60) / 3 and (54 + 72 + 54) / 3; tatoeba, squad_v1: (20 + 6) / 2 and (22 + 8) / 2.
    np.testing.assert_allclose(grid.scores[0, 0], [60, 60])
    np.testing.assert_allclose(grid.scores[2, 2], [13, 15])


def test_a_published_table_may_lack_cells_and_hold_others(tmp_path: Path) -> None:
    path = tmp_path / "published.tsv"
    path.write_text(
        "model\tintermediate\ttarget\tscore\tmetric\nbig\tnone\txnli\t79.2\taccuracy\nbig\tmnli\txnli\t80.0\taccuracy\n"
        "big\tmnli\txnli\t12.0\tf1\nbig\tunheard\txnli\t1\taccuracy\n"
    )
    (grid,) = read_earlier([path], NEW)
    assert grid.scores[0, 0, 0] == 79.2 and grid.scores[0, 1, 0] == 80.0
    assert np.isnan(grid.scores[1:]).all() and np.isnan(grid.scores[0, 2]).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model\tintermediate\tscore\n", "found none named target"),
        ("model\tintermediate\ttarget\tscore\nb\tmnli\txnli\tmany\n", "line 2: expected a number, found 'many'"),
        ("model\tintermediate\ttarget\tscore\nb\tmnli\txnli\tnan\n", "line 2: expected a finite score"),
        ("model\tintermediate\ttarget\tscore\nb\tmnly\txnli\t5\n", "its row 'mnly': did you mean 'mnli'?"),
        ("model\tintermediate\ttarget\tscore\nlarger\tmnli\txnli\t5\n", "scores of 'larger', a model of this grid"),
        ("model\tintermediate\ttarget\tscore\nb\tmnli\txnli\t5\nb\tmnli\txnli\t6\n", "one score, found several"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "earlier.tsv"
    path.write_text(text)
    with pytest.raises(SourceError) as error:
        read_earlier([path], NEW)
    assert sentence in str(error.value) and str(path) in str(error.value)


def test_a_round_is_read_as_it_was_written(tmp_path: Path) -> None:
    cells = [ProposedCell("m", "mnli", "xnli", "full", 1, 1.25, 0.5, "expected 1 of 3, 0.2 points ahead of none"),
             ProposedCell("m", "none", "xnli", "low", 1, 0.5, 0.25, "…")]  # fmt: skip
    write_round(cells, tmp_path / "round0.tsv", synthetic=True)
    assert read_round(tmp_path / "round0.tsv") == cells
    header, *lines = (tmp_path / "round0.tsv").read_text(encoding="utf-8").splitlines()
    assert header.endswith("\tsynthetic") and all(line.endswith("\tTrue") for line in lines)
    assert cells[0].metrics == "results/scores/m/mnli/xnli/seed1/metrics.json"
    assert cells[1].predictions == "results/selection/scores/m/none/xnli/seed1/predictions.parquet"
    write_round([], tmp_path / "empty.tsv", synthetic=False)
    assert read_round(tmp_path / "empty.tsv") == []
