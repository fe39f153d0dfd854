"""The last words of a run."""

import grids
import pytest
from stiltgrid.analysis.best_rows import read_best_rows
from stiltgrid.analysis.tables import collect_scores, read_transfer
from stiltgrid.reporting.summary import best_row, languages_moved, summary_text, write_summary

PLACES = {"matrix": "results/plots/transfer_matrix.svg", "table": "results/tables/transfer.tsv"}


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.parquet"
    collect_scores(grids.write_metrics(tmp_path / "scores"), path, synthetic=False)
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
    collect_scores(grids.write_metrics(tmp_path / "scores", scores), tmp_path / "scores.parquet", synthetic=False)
    text = summary_text(read_transfer(tmp_path / "scores.parquet", grids.layout()), PLACES)
    line = next(line for line in text.splitlines() if line.startswith("  udpos"))
    assert "\u22127.0" in line and "no row helps" in line


BEST_ROWS = (
    "model\ttarget\tchosen\tselected_on\treported_on\tgain\tlow\thigh\tgain_best_there\thalf_split_gain\n"
    "tiny\txnli\tsquad_v1\tdev\ttest\t0.0\t-1.26\t2.0\t4.0\t\n"
    "tiny\tudpos\tsquad_v1\tdev\tdev\t0.5\t\t\t0.5\t0.2\n"
    "tiny\t(mean)\t\t\t0.2\t\t\t2.2\t\n"
)


def test_rows_chosen_on_dev_come_with_their_intervals(scores, tmp_path):
    (tmp_path / "best.tsv").write_text(BEST_ROWS, encoding="utf-8")
    out = tmp_path / "summary.txt"
    write_summary(scores, grids.layout(), PLACES, out, tmp_path / "best.tsv")
    text = out.read_text(encoding="utf-8")
    lines = {line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line.startswith("  ")}
    # By the scores shown mnli is best (+4.0), and not told. squad_v1: de 0, en 0, zh 57 for 60 and 57 for 54.
    assert lines["xnli"] == (
        "xnli accuracy (test) none 60.0 squad_v1 60.0 0.0 ± 1.4 [\u22121.3, +2.0] "
        "chosen on dev; 0 of 3 languages better, 0 worse"
    )
    assert lines["udpos"] == (
        "udpos f1 (dev) none 62.0 squad_v1 62.5 +0.5 ± 0.0 "
        "half-of-dev estimate +0.2 chosen on dev itself; 1 of 2 languages better, 0 worse"
    )
    assert lines["tatoeba"].startswith("tatoeba accuracy (dev) none 20.0 mnli 21.0 +1.0")
    # (0.0 + 0.2) / 2 and (4.0 + 0.5) / 2, whose metrics differ
    assert "+0.1 on average (a mean over metrics that differ)" in text and "would have claimed +2.3" in text
    assert "picked on the scores that are shown (udpos, tatoeba), which flatters it" in text


def test_where_dev_finds_no_better_row_none_is_told_without_an_interval(scores, tmp_path):
    path = tmp_path / "best.tsv"
    path.write_text(BEST_ROWS.replace("squad_v1\tdev\ttest", "none\tdev\ttest"), encoding="utf-8")
    found = read_best_rows(path)
    assert found.keys() == {("tiny", "xnli"), ("tiny", "udpos")}
    assert found["tiny", "xnli"].interval == ""
    text = summary_text(read_transfer(scores, grids.layout()), {}, found)
    assert "chosen on dev; no row helps" in text


def test_remarks_are_honest(tmp_path):
    paths = grids.write_metrics(tmp_path / "scores", seeds=(1,))[:-1]
    collect_scores(paths, tmp_path / "scores.parquet", synthetic=False)
    out = tmp_path / "summary.txt"
    write_summary(tmp_path / "scores.parquet", grids.layout(seeds=(1,), synthetic=True), PLACES, out)
    text = out.read_text(encoding="utf-8")
    assert "synthetic (mini-lab)" in text
    assert "variance of training is unseen" in text
    assert "missing: tiny / squad_v1 / tatoeba / seed 1" in text
    assert "8 of 9 scores" in text


def test_a_grid_of_none_alone_has_a_summary(tmp_path):
    collect_scores(
        grids.write_metrics(tmp_path / "scores", {"none": grids.SCORES["none"]}),
        tmp_path / "scores.parquet",
        synthetic=False,
    )
    text = summary_text(read_transfer(tmp_path / "scores.parquet", grids.layout()), {})
    assert "none 60.0" in text and "no other row has a score" in text
