"""What a grid takes is estimated before it runs, and the estimate creates no file."""

import re
from collections import Counter

from repository import AFTERWARDS, Repository


def test_the_estimate_counts_what_is_left_and_touches_nothing(grid: Repository) -> None:
    before = {path: path.stat().st_mtime_ns for path in (grid.folder / "results").rglob("*")}
    result = grid.snakemake("estimate", "--config", "seeds=[1,2]")
    assert result.returncode == 0, result.stdout[-3000:]
    found = Counter({rule: int(count) for rule, count in re.findall(r"^  (\w+) +(\d+)$", result.stdout, re.MULTILINE)})
    del found["together"]
    # Seed 1 is there: of seed 2, two rows, two tuned models of each of the three rows, and three rows of four cells.
    assert found == AFTERWARDS + Counter(train_intermediate=2, train_target=2 * 3, score_target=3 * 4, plot_languages=4)
    assert "12 of 24 cells are finished and left out" in result.stdout
    assert "tiny: target        6 jobs" in result.stdout and "measured" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in (grid.folder / "results").rglob("*")} == before
    assert grid.pending() == []


def test_a_size_that_is_added_or_corrected_reruns_nothing(grid: Repository) -> None:
    """Sizes of cards are for estimates alone."""
    with grid.edited("tasks/mnli.yaml", "  train: 392702\n", "  train: 7\n"):
        assert grid.pending() == []
    with grid.edited("tasks/xnli.yaml", "metric: accuracy\n", "metric: accuracy\nlicence: none\n"):
        assert grid.pending() == []
    two = "{languages: [en, de]}"
    sized = "{languages: [en, de], sizes: {test: 3, tokens: 9, source: mine}}"
    overlay = f"tasks={{xnli: {sized}, xquad: {two}, mlqa: {two}, tatoeba: {{languages: [de]}}}}"
    assert grid.pending("--config", overlay) == []


def test_a_grid_of_which_nothing_is_there_is_estimated_from_what_is_known_before(grid: Repository, tmp_path) -> None:
    """In an empty folder: rows of the source, a speed of the configuration, each assumption once."""
    speeds = "estimate={speeds: {tiny: {cpu: {training: 1000, measured: by hand}}}}"
    result = grid.snakemake(
        "estimate", "--directory", str(tmp_path), "--config", speeds, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert "0 of 12 cells are finished" in result.stdout and "from the source's rows" in result.stdout
    assert result.stdout.count("4 characters a token") == 1
    assert result.stdout.count("tiny on cpu: 1,000 tokens a second in training; the configuration's") == 1
    assert "no speed is known for tiny on 'cpu' (pretrain)" in result.stdout
