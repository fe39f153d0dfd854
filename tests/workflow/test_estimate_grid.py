"""What a grid takes is estimated before it runs, and the estimate creates no file."""

import re
from collections import Counter

from repository import AFTERWARDS, Repository


def test_the_estimate_counts_the_grids_jobs_and_touches_nothing(grid: Repository) -> None:
    before = {path: path.stat().st_mtime_ns for path in (grid.folder / "results").rglob("*")}
    result = grid.snakemake("estimate", "--config", "seeds=[1,2]")
    assert result.returncode == 0, result.stdout[-3000:]
    found = Counter({rule: int(count) for rule, count in re.findall(r"^  (\w+) +(\d+)$", result.stdout, re.MULTILINE)})
    del found["together"]
    assert found == AFTERWARDS + Counter(
        prepare_text=1, train_tokenizer=1, pretrain_backbone=1, prepare_train=2, prepare_eval=4, encode_train=2,
        encode_eval=4, train_intermediate=2 * 2, train_target=2 * 3 * 2, score_target=2 * 3 * 4, plot_languages=4,
    )  # fmt: skip
    assert "tiny: target        12 jobs" in result.stdout and "measured" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in (grid.folder / "results").rglob("*")} == before
    assert grid.pending() == []
