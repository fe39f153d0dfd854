"""The replay on a grid that is not finished: what its cells show, and what is left of it."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from page_grid import EXAMPLES, FAMILIES, LAYOUT, write_grid


@pytest.fixture(scope="module")
def cells() -> ModuleType:
    return importlib.import_module("selection_cells")


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    return importlib.import_module("selection_replay")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("grid")
    write_grid(folder / "results")
    (folder / "results/scores/tiny/qqp/words/seed1/metrics.json").unlink()
    for row in ("mnli", "qqp"):
        (folder / f"results/scores/tiny/{row}/pairs/seed2/metrics.json").unlink()
    return folder


def published(folder: Path, row: str, target: str, seed: int) -> float:
    content = json.loads((folder / f"results/scores/tiny/{row}/{target}/seed{seed}/metrics.json").read_text())
    values = [item["value"] for item in content["scores"] if item["metric"] == "accuracy"]
    return float(np.mean(values))


def test_the_examples_that_choose_and_those_that_judge_make_up_the_score(cells: ModuleType, folder: Path) -> None:
    found = cells.read_cells(folder, LAYOUT, FAMILIES, "tiny", [1])
    assert (found.targets, found.rows) == (("pairs", "words"), LAYOUT.intermediates)
    assert np.argwhere(np.isnan(found.judging)).tolist() == [[1, 2, 0]]
    whole = np.array([published(folder, row, "pairs", 1) for row in LAYOUT.intermediates])
    halves = [number / EXAMPLES * found.choosing[0, :, 0] + (1 - number / EXAMPLES) * found.judging[0, :, 0]
              for number in range(1, EXAMPLES)]  # fmt: skip
    assert any(np.allclose(each, whole) for each in halves)
    assert found.judged.std(axis=0)[0].min() > 0


def test_cells_without_all_seeds_are_left_out(cells: ModuleType, folder: Path) -> None:
    found = cells.read_cells(folder, LAYOUT, FAMILIES, "tiny", [1, 2])
    # Of pairs one row is left, which leaves nothing to choose.
    assert (found.targets, found.rows) == (("words",), ("none", "mnli")) and found.judging.shape == (1, 2, 2)
    with pytest.raises(SystemExit, match=r"expected cells of large with the seeds \[1\] in results/scores, found none"):
        cells.read_cells(folder, LAYOUT, FAMILIES, "large", [1])


def test_a_choice_pays_for_the_noise_of_its_examples(replay: ModuleType) -> None:
    rng = np.random.default_rng(0)
    scores = np.array([[[50.0], [53.0], [56.0]]])
    costs = replay.even_costs((1, 3))
    exact = replay.Finished("a", scores, costs, scores)
    noisy = replace(exact, chosen=scores + 5 * rng.standard_normal((2000, 1, 3, 1)), judging=scores[None] + 1.0)
    runs = [replay.Run(0, row, 0, 0) for row in range(3)]
    seen = [replay.seen_column(each, 0, runs, [0]) for each in (exact, noisy)]
    assert (seen[0].observations.example_variance == 0).all() and (seen[0].paired == 0).all()
    # A row less the mean of the other two: 25 · 1.5, halved; two rows: 2 · 25.
    np.testing.assert_allclose(seen[1].observations.example_variance, 25 * 1.5 / 2, rtol=0.1)
    np.testing.assert_allclose(seen[1].paired[0, 1:], 50, rtol=0.1)
    outcome = replay.Outcome(np.array([0]), 0.0)
    np.testing.assert_allclose(replay.resampled(noisy, outcome, [0], [0]), [6.0])
