"""Pictures: everything asked for is in them, colours are centred at zero, bytes repeat."""

import re
from dataclasses import replace

import grids
import pytest
from matplotlib.colors import to_rgb
from stiltgrid.analysis.best_rows import BestRow
from stiltgrid.analysis.statistics import Estimate
from stiltgrid.analysis.tables import collect_scores
from stiltgrid.grid.display import Display
from stiltgrid.reporting.plot_style import Scale, number
from stiltgrid.reporting.plots import plot_english_and_zero_shot, plot_languages, plot_transfer_matrix


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.parquet"
    collect_scores(grids.write_metrics(tmp_path / "scores"), path, synthetic=False)
    return path


def words(path):
    """The texts of an SVG; they are kept as text so that a picture can be searched."""
    texts = re.findall(r"<(?:text|tspan)[^>]*>([^<]*)<", path.read_text(encoding="utf-8"))
    return [text.strip() for text in texts if text.strip()]


def test_no_gain_is_white_and_gains_mirror_losses():
    scale = Scale.of([Estimate(30.0, None, 1), Estimate(-2.0, None, 1), None])
    assert scale.limit == 30.0
    red, green, blue = to_rgb(scale.face(0.0))
    assert min(red, green, blue) > 0.95
    worse, better = to_rgb(scale.face(-20.0)), to_rgb(scale.face(20.0))
    assert worse[0] > worse[2] and better[2] > better[0]
    assert scale.mappable.norm(0.0) == 0.5
    assert scale.mappable.norm(7.0) - 0.5 == pytest.approx(0.5 - scale.mappable.norm(-7.0))


def test_small_gains_do_not_fill_the_scale():
    assert Scale.of([Estimate(0.2, None, 1)]).limit == 1.0
    assert Scale.of([]).limit == 1.0


def test_numbers_are_signed_and_rounded_away_from_minus_zero():
    assert number(Estimate(3.14, None, 1), signed=True) == "+3.1"
    assert number(Estimate(-3.14, 0.5, 2), signed=True) == "\u22123.1\n±0.5"
    assert number(Estimate(-0.04, None, 1), signed=True) == "0.0"
    assert number(Estimate(64.0, None, 1), signed=False) == "64.0"


def test_matrix_shows_every_row_column_gain_and_score(scores, tmp_path):
    path = tmp_path / "transfer_matrix.svg"
    plot_transfer_matrix(scores, grids.layout(), [path])
    found = words(path)
    for label in ("mnli", "squad_v1", "none (score)", "xnli", "udpos", "tatoeba", "accuracy", "n=15", "test, 3 lang."):
        assert label in found
    for gain in ("+4.0", "\u22127.0", "+1.0", "±1.4"):  # mnli on xnli, udpos and tatoeba
        assert gain in found
    for score in ("60.0", "62.0", "20.0"):  # none on xnli, udpos and tatoeba
        assert score in found
    # The mean gain of mnli: (4 - 7 + 1) / 3.
    assert "\u22120.7" in found
    assert any("2 seeds" in text for text in found)
    assert not any("ynthetic" in text for text in found)


def test_several_models_have_a_panel_each(scores, tmp_path):
    path = tmp_path / "transfer_matrix.svg"
    plot_transfer_matrix(scores, replace(grids.layout(), models=("tiny", "large")), [path])
    titles = [text for text in words(path) if "what each intermediate task changes" in text]
    assert [title.split(":")[0] for title in titles] == ["tiny", "large"]
    assert any("18 of 36 scores" in text for text in words(path))


def test_a_missing_cell_is_hatched_and_counted(tmp_path):
    paths = [path for path in grids.write_metrics(tmp_path / "scores") if "mnli/udpos" not in path.as_posix()]
    collect_scores(paths, tmp_path / "scores.parquet", synthetic=False)
    picture = tmp_path / "transfer_matrix.svg"
    plot_transfer_matrix(tmp_path / "scores.parquet", grids.layout(), [picture])
    found = words(picture)
    assert found.count("–") == 2  # the cell, and the mean that would hide it
    assert "<pattern" in picture.read_text()
    assert any("2 of 18 scores" in text for text in found)


def test_languages_are_all_there_english_first(scores, tmp_path):
    path = tmp_path / "xnli.svg"
    plot_languages(scores, grids.layout(), "xnli", [path])
    found = words(path)
    assert [text for text in found if text in ("de", "en", "zh")] == ["en", "de", "zh"]
    for text in ("mnli", "squad_v1", "52.0", "+7.5", "±2.1"):  # German: none 50, 54; mnli 56, 63
        assert text in found


def test_english_against_zero_shot_names_what_it_leaves_out(scores, tmp_path):
    path = tmp_path / "english_and_zero_shot.svg"
    plot_english_and_zero_shot(scores, grids.layout(), [path])
    found = words(path)
    assert "tiny: xnli" in found and "tiny: udpos" in found and "tiny: tatoeba" not in found
    assert any("Left out" in text and "tatoeba" in text for text in found)
    assert "mean of 2 others" in found


def test_a_grid_without_english_still_has_a_picture(scores, tmp_path):
    path = tmp_path / "english_and_zero_shot.svg"
    plot_english_and_zero_shot(scores, grids.layout().only("tatoeba"), [path])
    assert any("Left out" in text for text in words(path))


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_bytes_repeat(scores, tmp_path, kind):
    one, two = tmp_path / f"one.{kind}", tmp_path / f"two.{kind}"
    plot_transfer_matrix(scores, grids.layout(), [one])
    plot_transfer_matrix(scores, grids.layout(), [two])
    assert one.read_bytes() == two.read_bytes()


def test_synthetic_data_and_single_seeds_are_said_in_the_picture(tmp_path):
    collect_scores(grids.write_metrics(tmp_path / "scores", seeds=(1,)), tmp_path / "scores.parquet", synthetic=False)
    layout = grids.layout(seeds=(1,), synthetic=True)
    for name, plot, more in (
        ("matrix", plot_transfer_matrix, ()),
        ("languages", plot_languages, ("xnli",)),
        ("scatter", plot_english_and_zero_shot, ()),
    ):
        path = tmp_path / f"{name}.svg"
        plot(tmp_path / "scores.parquet", layout, *more, [path])
        assert any("Synthetic data (mini-lab)" in text for text in words(path))
        assert any("variance of training is unseen" in text for text in words(path))


def test_the_row_that_dev_chose_is_framed_with_its_interval(scores, tmp_path):
    chosen = {
        ("tiny", "xnli"): BestRow("squad_v1", "dev", "test", -1.26, 2.0, 0.0, 4.0),
        ("tiny", "udpos"): BestRow("none", "dev", "test", 0.0, 0.0, 0.0, 0.5),
    }
    plain, framed = tmp_path / "plain.svg", tmp_path / "framed.svg"
    plot_transfer_matrix(scores, grids.layout(), [plain])
    plot_transfer_matrix(scores, grids.layout(), [framed], chosen)
    assert set(words(framed)) - set(words(plain)) >= {"[\u22121.3, +2.0]"}
    assert "[0.0, 0.0]" not in words(framed)
    assert any(line.startswith("Framed: the row that development data chose") for line in words(framed))
    assert framed.read_text(encoding="utf-8").count("stroke-dasharray") == plain.read_text(encoding="utf-8").count(
        "stroke-dasharray"
    )


def test_a_row_chosen_on_the_shown_scores_has_a_dashed_frame(scores, tmp_path):
    chosen = {("tiny", "tatoeba"): BestRow("mnli", "dev", "dev", None, None, 1.0, 1.0, 0.5)}
    plain, framed = tmp_path / "plain.svg", tmp_path / "framed.svg"
    plot_transfer_matrix(scores, grids.layout(), [plain])
    plot_transfer_matrix(scores, grids.layout(), [framed], chosen)
    dashes = [path.read_text(encoding="utf-8").count("stroke-dasharray") for path in (plain, framed)]
    assert dashes[1] == dashes[0] + 1
    assert not any(line.startswith("Framed") for line in words(plain))


def test_figures_have_display_names_and_say_where_a_mean_mixes_metrics(scores, tmp_path):
    names = Display({"xnli": "XNLI", "mnli": "MNLI"}, {"xnli": "Accuracy"}, {"tiny": "Tiny XLM-R"})
    path = tmp_path / "matrix.svg"
    plot_transfer_matrix(scores, replace(grids.layout(), display=names), [path])
    found = words(path)
    assert {"XNLI", "MNLI", "Accuracy", "udpos", "(metrics", "mixed)"} <= set(found) and "xnli" not in found
    assert any(text.startswith("Tiny XLM-R: ") for text in found)
    plot_transfer_matrix(scores, grids.layout().only("xnli"), [path])
    assert "(metrics" not in words(path) and "mean gain" in words(path)


def test_banner_and_footer_can_be_left_out(scores, tmp_path):
    for banner, footer in ((True, False), (False, True), (False, False)):
        layout = replace(grids.layout(synthetic=True), display=Display(banner=banner, footer=footer))
        for name, plot, more in (
            ("matrix", plot_transfer_matrix, ()),
            ("languages", plot_languages, ("xnli",)),
            ("scatter", plot_english_and_zero_shot, ()),
        ):
            path = tmp_path / f"{name}.svg"
            plot(scores, layout, *more, [path])
            text = " ".join(words(path))
            assert ("Synthetic data" in text) == banner and ("2 seeds" in text) == footer
