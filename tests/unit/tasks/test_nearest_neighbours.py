"""Mining finds exactly what brute force finds, and what a hand computation finds."""

import numpy as np
import pytest
from stiltgrid.tasks import nearest_neighbours


def brute_force(x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = x.astype(np.float64) @ y.astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


def small_integers(rows: int, width: int, seed: int) -> np.ndarray:
    """Vectors whose dot products are exact in float32 and full of ties."""
    return np.random.default_rng(seed).integers(-2, 3, (rows, width)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 4, 50])
@pytest.mark.parametrize("blocks", [(7, 11), (64, 300), (4096, 4096)])
def test_both_directions_equal_brute_force_whatever_the_blocks(monkeypatch, blocks, k):
    monkeypatch.setattr(nearest_neighbours, "ROW_BLOCK", blocks[0])
    monkeypatch.setattr(nearest_neighbours, "COLUMN_BLOCK", blocks[1])
    x, y = small_integers(150, 24, seed=1), small_integers(700, 24, seed=2)
    forward, backward = nearest_neighbours.nearest_both(x, y, k)
    for found, (scores, order) in ((forward, brute_force(x, y, k)), (backward, brute_force(y, x, k))):
        np.testing.assert_array_equal(found.indices, order)
        np.testing.assert_array_equal(found.scores, scores)
    np.testing.assert_array_equal(nearest_neighbours.nearest(x, y, k).indices, forward.indices)


def test_of_equal_candidates_the_first_is_nearest(monkeypatch):
    monkeypatch.setattr(nearest_neighbours, "COLUMN_BLOCK", 100)
    found = nearest_neighbours.nearest(np.ones((3, 2), dtype=np.float32), np.ones((1000, 2), dtype=np.float32), 4)
    np.testing.assert_array_equal(found.indices, np.tile([0, 1, 2, 3], (3, 1)))


def test_fewer_candidates_than_k_gives_them_all():
    found = nearest_neighbours.nearest(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 4)
    np.testing.assert_array_equal(found.indices, [[0, 1], [1, 0]])


def test_unit_length_leaves_zero_and_broken_vectors_at_zero(caplog):
    result = nearest_neighbours.unit_length(np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1]]))
    np.testing.assert_allclose(result, [[0.6, 0.8], [0, 0], [0, 0], [0, 0]], atol=1e-7)
    assert "2 of 4" in caplog.text


# x and y are unit vectors of the plane with these cosines (x in rows):
#          y0    y1    y2
#   x0    1.00  0.80  0.00
#   x1    0.60  0.96  0.80
#   x2    0.00  0.60  1.00
X = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
Y = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)


def test_ratio_margin_by_hand():
    # Two best cosines: x0 1, .8 -> .9; x1 .96, .8 -> .88; x2 1, .6 -> .8.
    #                   y0 1, .6 -> .8; y1 .96, .8 -> .88; y2 1, .8 -> .9.
    # Margins: x0y0 1/.85, x0y1 .8/.89, x1y1 .96/.88, x1y2 .8/.89, x1y0 .6/.84, x2y2 1/.85, x2y1 .6/.84.
    pairs = nearest_neighbours.mine_pairs(X, Y, k=2)
    assert list(zip(pairs.sources.tolist(), pairs.targets.tolist(), strict=True)) == [(0, 0), (2, 2), (1, 1)]
    np.testing.assert_allclose(pairs.scores, [1 / 0.85, 1 / 0.85, 0.96 / 0.88], rtol=1e-6)


def test_each_sentence_is_mined_once_best_margin_first():
    # Cosines: x0y0 = 1, x1y0 = .8; with k = 1 the means are x0 1, x1 .8, y0 1:
    # margins x0y0 = 1/1 = 1, x1y0 = .8/.9 = .889. y0 goes to x0, x1 stays alone.
    pairs = nearest_neighbours.mine_pairs(np.array([[1, 0], [0.8, 0.6]], dtype=np.float32), X[:1], k=1)
    assert (pairs.sources.tolist(), pairs.targets.tolist(), pairs.scores.tolist()) == ([0], [0], [1.0])


def test_margin_beats_cosine_for_a_hub():
    # y0 is close to everything (a hub): x1's cosine to y0 (.96) is above that to y1 (.8), its margin is not.
    x = np.array([[1, 0], [0.96, 0.28]], dtype=np.float32)
    y = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    # cosines: x0 1, .6; x1 .96, .8.  k = 2: means x0 .8, x1 .88, y0 .98, y1 .7
    # margins: x0y0 1/.89 = 1.124, x0y1 .6/.75 = .8, x1y0 .96/.93 = 1.032, x1y1 .8/.79 = 1.0127
    assert nearest_neighbours.nearest(x, y, 1).indices.tolist() == [[0], [0]]
    pairs = nearest_neighbours.mine_pairs(x, y, k=2)
    assert pairs.targets.tolist() == [0, 1]
    np.testing.assert_allclose(pairs.scores, [1 / 0.89, 0.8 / 0.79], rtol=1e-6)


def test_pairs_without_positive_margin_are_not_mined():
    pairs = nearest_neighbours.mine_pairs(X[:1], -X[:1], k=4)
    assert not len(pairs.scores)
    assert not len(nearest_neighbours.mine_pairs(X[:0], Y, k=4).scores)


def test_threshold_is_halfway_below_the_best_cut():
    # Four true pairs. Kept 1: F1 2/5; 2: 4/6; 3: 4/7; 4: 6/8; 5: 6/9. The best cut is after the fourth.
    scores = np.array([0.9, 2.0, 1.5, 1.2, 1.0])
    correct = np.array([False, True, True, False, True])
    assert nearest_neighbours.best_threshold(scores, correct, gold=4) == pytest.approx((1.0 + 0.9) / 2)


def test_threshold_at_the_end_tie_and_without_a_correct_pair():
    assert nearest_neighbours.best_threshold(np.array([1.0, 0.5]), np.array([True, True]), gold=2) == 0.5
    assert nearest_neighbours.best_threshold(np.array([1.0, 0.5]), np.array([False, False]), gold=2) == 0.0
    assert nearest_neighbours.best_threshold(np.zeros(0), np.zeros(0, dtype=bool), gold=2) == 0.0
    # The first of two equal scores is correct, the second is not: no threshold parts them.
    # Kept 2: F1 2/4; kept 3: 4/5.
    tied = nearest_neighbours.best_threshold(
        np.array([1.0, 1.0, 0.4, 0.2]), np.array([True, False, True, False]), gold=2
    )
    assert tied == pytest.approx(0.3)
