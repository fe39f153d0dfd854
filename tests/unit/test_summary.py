"""The last words of a run."""

import grids
import pytest
from stiltgrid.summary import best_row, languages_moved, summary_text, write_summary
from stiltgrid.tables import collect_scores, read_transfer

PLACES = {"matrix": "results/plots/transfer_matrix.svg", "table": "results/tables/transfer.tsv"}


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.parquet"
    collect_scores(grids.write_metrics(tmp_path / "scores"), path)
    return path


def test_best_rows_by_hand(scores):
    transfer = read_transfer(scores, grids.layout())
    best = {column.target: best_row(transfer, "tiny", column) for column in transfer.layout.columns}
    assert {target: cell.intermediate for target, cell in best.items()} == {
        "xnli": "mnli", "udpos": "squad_v1", "tatoeba": "mnli",
    }  # fmt: skip
    # mnli on xnli: de +7.5, en +6, zh -1.5; squad_v1 on udpos: de +1, en 0.
    assert languages_moved(transfer, best["xnli"]) == (2, 1)
    assert languages_moved(transfer, best["udpos"]) == (1, 0)


def test_a_line_says_row_gain_and_languages(scores):
    text = summary_text(read_transfer(scores, grids.layout()), PLACES)
    line = " ".join(next(line for line in text.splitlines() if line.startswith("  xnli")).split())
    assert line == "xnli accuracy (test) none 60.0 mnli 64.0 +4.0 ± 0.0 2 of 3 languages better, 1 worse"
    assert "18 of 18 scores" in text
    assert "results/plots/transfer_matrix.svg" in text
    assert "one seed" not in text and "synthetic" not in text and "missing" not in text


def test_a_target_that_nothing_helps_says_so(tmp_path):
    scores = {name: grids.SCORES[name] for name in ("none", "mnli")}
    collect_scores(grids.write_metrics(tmp_path / "scores", scores), tmp_path / "scores.parquet")
    text = summary_text(read_transfer(tmp_path / "scores.parquet", grids.layout()), PLACES)
    line = next(line for line in text.splitlines() if line.startswith("  udpos"))
    assert "-7.0" in line and "no row helps" in line


def test_remarks_are_honest(tmp_path):
    paths = grids.write_metrics(tmp_path / "scores", seeds=(1,))[:-1]
    collect_scores(paths, tmp_path / "scores.parquet")
    out = tmp_path / "summary.txt"
    write_summary(tmp_path / "scores.parquet", grids.layout(seeds=(1,), synthetic=True), PLACES, out)
    text = out.read_text(encoding="utf-8")
    assert "synthetic (mini-lab)" in text
    assert "variance of training is unseen" in text
    assert "missing: tiny / squad_v1 / tatoeba / seed 1" in text
    assert "8 of 9 scores" in text


def test_a_grid_of_none_alone_has_a_summary(tmp_path):
    collect_scores(
        grids.write_metrics(tmp_path / "scores", {"none": grids.SCORES["none"]}), tmp_path / "scores.parquet"
    )
    text = summary_text(read_transfer(tmp_path / "scores.parquet", grids.layout()), {})
    assert "none 60.0" in text and "no other row has a score" in text
