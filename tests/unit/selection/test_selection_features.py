"""benchmarks/selection_features.py: LogME against a direct maximisation of the evidence, and the leave-one-out."""

import importlib
from types import ModuleType

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal


@pytest.fixture(scope="module")
def features() -> ModuleType:
    return importlib.import_module("selection_features")


def direct(states: np.ndarray, y: np.ndarray) -> float:
    """The largest log density of y ~ N(0, I / β + F Fᵀ / α), over α and β, divided by n."""

    def minus(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = np.eye(len(y)) / beta + states @ states.T / alpha
        return -float(multivariate_normal(np.zeros(len(y)), covariance).logpdf(y))

    return -min(minimize(minus, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).fun
                for start in ([0.0, 0.0], [2.0, 1.0])) / len(y)  # fmt: skip


@pytest.mark.parametrize("shape", [(40, 5), (20, 30)])
def test_logme_is_the_largest_evidence(features: ModuleType, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    states = rng.standard_normal(shape)
    clear = (states[:, 0] + 0.5 * rng.standard_normal(shape[0]) > 0).astype(float)
    labels = np.stack([clear, 1 - clear], axis=1)
    expected = np.mean([direct(states, y) for y in labels.T])
    assert features.logme(states, labels) == pytest.approx(expected, abs=1e-4)


def test_states_that_tell_the_labels_score_higher(features: ModuleType) -> None:
    rng = np.random.default_rng(1)
    labels = np.eye(3)[rng.integers(0, 3, 200)]
    telling = labels @ rng.standard_normal((3, 10)) + 0.3 * rng.standard_normal((200, 10))
    assert features.logme(telling, labels) > features.logme(rng.standard_normal((200, 10)), labels) + 0.3


def test_a_feature_is_judged_on_targets_that_did_not_teach_it(features: ModuleType) -> None:
    rng = np.random.default_rng(2)
    feature = rng.standard_normal((40, 8))
    z = feature + 0.5 * rng.standard_normal((40, 8))
    z -= z.mean(axis=1, keepdims=True)
    missing = feature.copy()
    missing[0] = np.nan
    found = features.leave_one_out(z, 50 + 4 * z, missing, trusted=False)
    assert found.shape == (39, 4)
    assert found[:, 1].mean() > 0.8 and found[:, 0].mean() < 0.3
    assert found[:, 3].mean() < found[:, 2].mean() / 2
    noise = features.leave_one_out(z, 50 + 4 * z, rng.standard_normal((40, 8)), trusted=False)
    assert abs(noise[:, 1].mean() - noise[:, 0].mean()) < 0.2
