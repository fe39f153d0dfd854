"""The LaTeX table: the numbers of the transfer table, escaped names, what is synthetic says so."""

from dataclasses import replace

import grids
import pytest
from stiltgrid.analysis.best_rows import BestRow
from stiltgrid.analysis.tables import collect_scores
from stiltgrid.grid.display import Display
from stiltgrid.reporting.latex import escaped, write_latex


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.parquet"
    collect_scores(grids.write_metrics(tmp_path / "scores"), path, synthetic=False)
    return path


def lines(path):
    text = path.read_text(encoding="utf-8")
    body = text.split("\\midrule\n", 1)[1].split("\\bottomrule")[0]
    return text, [[field.strip() for field in line.removesuffix("\\\\").split("&")] for line in body.splitlines()]


def test_rows_columns_and_numbers_are_those_of_the_matrix(scores, tmp_path):
    best = {
        ("tiny", "xnli"): BestRow("mnli", "dev", "test", 1.0, 7.0, 4.0, 4.0),
        ("tiny", "tatoeba"): BestRow("mnli", "dev", "dev", None, None, 1.0, 1.0, 0.5),
    }
    write_latex(scores, grids.layout(), tmp_path / "t.tex", best)
    text, rows = lines(tmp_path / "t.tex")
    small = "{\\scriptsize$\\pm$%s}"
    assert rows[0] == ["none (score)", f"60.0 {small % '0.0'}", f"62.0 {small % '2.8'}", f"20.0 {small % '0.0'}"]
    # mnli by hand, as in test_tables: +4.0, -7.0 (sd 1.4), +1.0 (0 and 2: sd 1.4)
    assert rows[1] == [
        "mnli", f"\\textbf{{+4.0 {small % '0.0'}}}", f"$-$7.0 {small % '1.4'}", f"\\underline{{+1.0 {small % '1.4'}}}",
    ]  # fmt: skip
    assert rows[2][0] == "squad\\_v1"
    for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\begin{table}", "\\label{tab:transfer}", "{lrrr}"):
        assert rule in text
    assert "Bold: chosen on development data." in text and "Underlined:" in text
    assert "ynthetic" not in text


def test_synthetic_data_is_marked_in_a_comment_and_in_the_caption(scores, tmp_path):
    write_latex(scores, grids.layout(synthetic=True), tmp_path / "t.tex")
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert "\n% Synthetic data (mini-lab)" in text and "\\caption{Synthetic data (mini-lab)" in text


def test_display_names_are_escaped(scores, tmp_path):
    names = Display({"mnli": "50% & more_#1"}, {"xnli": "F_1"}, {"tiny": "A{B}~$x^2$\\"})
    write_latex(scores, replace(grids.layout(), display=names), tmp_path / "t.tex")
    text, rows = lines(tmp_path / "t.tex")
    assert "50\\% \\& more\\_\\#1" in text and "F\\_1" in text
    assert "A\\{B\\}\\textasciitilde{}\\$x\\textasciicircum{}2\\$\\textbackslash{}" in text
    assert escaped("\u22121.0 ± 2") == "$-$1.0 $\\pm$ 2"


def test_several_models_have_a_block_each_and_missing_cells_a_dash(scores, tmp_path):
    write_latex(scores, replace(grids.layout(), models=("tiny", "large")), tmp_path / "t.tex")
    text, rows = lines(tmp_path / "t.tex")
    assert [row[0] for row in rows if len(row) > 1] == ["tiny", "", "", "large", "", ""]
    assert text.count("\\midrule") == 2 and "cline" not in text and "multirow" not in text, (
        "booktabs is the only package that is needed"
    )
    assert rows[-1][-3:] == ["--", "--", "--"] and "18 of 36 scores are missing" in text


def test_bytes_repeat(scores, tmp_path):
    for name in ("one", "two"):
        write_latex(scores, grids.layout(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
