"""`without` leaves tasks out everywhere, and says what goes with them."""

import logging
from pathlib import Path
from typing import Any

import pytest
from configurations import ROOT, changed, load, only, problems, snakemake_merge
from stiltgrid.grid.grid import Grid

pytestmark = pytest.mark.usefixtures("at_the_root")

RECIPES: dict[str, Any] = {
    "mixed": {"tasks": ["ccg", "mnli", "qqp"], "examples": {"ccg": 5, "qqp": 3}, "upsample": True},
    "alone": {"tasks": ["ccg"]},
    "short": {"sequence": ["ccg", "qqp"]},
    "long": {"sequence": ["qqp", "ccg", "squad_v1"]},
    "ended": {"sequence": ["qqp", "squad_v1", "ccg"]},
    "{row}+mlm": {"like": "{row}", "mlm": {"languages": ["en"], "rate": 0.5}},
}
ROWS = ["none", "ccg", "mixed", "alone", "short", "long", "ended", "ccg+mlm", "qqp+mlm", "squad_v1"]


def reduced(*without: str, **changes: Any) -> Grid:
    return load(changed(**{"without": list(without), "recipes": RECIPES, "intermediates": ROWS, **changes}))


def test_rows_mixtures_and_chains_lose_the_task() -> None:
    grid = reduced("ccg")
    assert grid.intermediates == ("none", "mixed", "long", "ended", "qqp+mlm", "squad_v1")
    mixed, long = grid.recipe("mixed"), grid.recipe("long")
    assert (mixed.tasks, mixed.examples) == (("mnli", "qqp"), {"qqp": 3})
    assert (long.after, long.base, grid.chain("long")) == ("qqp", "squad_v1", ("qqp", "long"))
    assert "ccg" not in grid.trained_tasks()


def test_a_chain_keeps_its_name_while_two_steps_are_left() -> None:
    ended = reduced("ccg").recipe("ended")
    assert (ended.tasks, ended.after, ended.base) == (("squad_v1",), "qqp", "squad_v1")
    grid = reduced("ccg", "qqp")
    assert "ended" not in grid.intermediates and "ended" not in grid.recipes, "it would be the row squad_v1"


def test_targets_lose_training_stages_and_go_without_any() -> None:
    grid = reduced("mnli", "social_i_qa")
    assert "xnli" not in grid.targets and grid.cards["xcopa"].train == ("copa",) and "xcopa" in grid.targets
    assert "xquad" in grid.targets


def test_tasks_made_of_other_tasks_lose_their_rows_and_go_with_the_last_of_them() -> None:
    grid = reduced("mnli", intermediates=["none", "anli_plus"])
    assert grid.cards["anli_plus"].rows == {split: ("snli", "anli") for split in ("train", "dev")}
    grid = reduced("mnli", "snli", "anli", intermediates=["none", "anli_plus", "qqp"])
    assert grid.intermediates == ("none", "qqp")


def test_studies_lose_the_task() -> None:
    section = {"tasks": ["mnli", "qqp", "squad_v1", "ccg"], "counts": [1, 2, 3], "best": {"ccg": 90, "qqp": 80}}
    section |= {"targets": ["xnli", "xquad"]}
    grid = reduced("ccg", studies={"how_many": section})
    assert grid.studies["how_many"]["tasks"] == ["mnli", "qqp", "squad_v1"]
    assert grid.studies["how_many"]["best"] == {"qqp": 80}
    assert not grid.study_problems and not any("ccg" in row for row in grid.plans["how_many"].intermediates)


def test_the_log_says_what_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        reduced("ccg", "mnli", intermediates=[*ROWS, "anli_plus"])
    assert (
        "without ccg, mnli: rows left out: ccg, alone, short, ccg+mlm; targets left out: xnli; "
        "rows with fewer tasks: mixed; tasks with fewer examples: anli_plus"
    ) in caplog.text


def test_names_and_what_is_left_are_checked() -> None:
    assert only(changed(without=["cgc"])) == "config: without: no such task 'cgc', did you mean 'ccg'?"
    assert problems(changed(without=["mnli"], intermediates=["mnli"], targets=["xnli"])) == (
        "config: without: nothing is left of intermediates, which has only mnli",
        "config: without: nothing is left of targets, which has only xnli",
    )
    assert "ccg" not in load(changed(without="ccg")).intermediates  # as --config without=ccg gives it


def test_the_grid_of_the_paper_runs_without_ccgbank(tmp_path: Path) -> None:
    paths = (ROOT / "presets/phang2020.yaml", ROOT / "config.yaml")
    merged = {**snakemake_merge(*paths), "data_dir": str(tmp_path)}
    (found,) = problems(merged, paths)
    assert "LDC2005T13" in found and found.endswith("leave the task out everywhere with `--config 'without=[ccg]'`")
    grid = load({**merged, "without": ["ccg"]}, paths)
    assert len(grid.intermediates) == 21 and "ccg" not in grid.trained_tasks()
