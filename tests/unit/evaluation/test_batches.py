import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stiltgrid.evaluation.batches import evaluation_batches, tokens_of_a_pass
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.planning import least_padded, length_sorted

CPU = Compute(torch.device("cpu"), torch.float32)
GPU = Compute(torch.device("cuda"), torch.bfloat16)
LENGTHS = np.random.default_rng(0).integers(1, 90, 200)


def computed(lengths, batches):
    return sum(int(lengths[batch].max()) * len(batch) for batch in batches)


@pytest.mark.parametrize("overhead", [0.0, 10.0, 1e9])
def test_batches_cover_everything_within_the_limit_longest_first(overhead):
    batches = least_padded(LENGTHS, 500, overhead)
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert all(LENGTHS[batch].max() * len(batch) <= 500 for batch in batches)
    longest = [LENGTHS[batch].max() for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_a_free_pass_leaves_no_padding_and_a_dear_one_no_cut():
    assert computed(LENGTHS, least_padded(LENGTHS, 500, 0.0)) == LENGTHS.sum()
    assert len(least_padded(LENGTHS, 10**6, 1e9)) == 1
    assert least_padded(np.array([900]), 500, 1.0)[0].tolist() == [0]
    assert least_padded(np.array([], dtype=np.int64), 500, 1.0) == []


def test_the_cuts_are_the_best_of_all():
    lengths, overhead = np.array([9, 9, 8, 5, 5, 5, 2, 1]), 4.0
    edges = [3, 2, 6, 7]  # where a shorter length begins
    costs = []
    for count in range(len(edges) + 1):
        for cuts in itertools.combinations(sorted(edges), count):
            parts = np.split(np.arange(8), cuts)
            costs.append(computed(lengths, parts) + overhead * len(parts))
    batches = least_padded(lengths, 1000, overhead)
    assert computed(lengths, batches) + overhead * len(batches) == min(costs)


def test_a_number_is_kept_and_without_one_device_and_size_decide():
    assert tokens_of_a_pass(64, 384, CPU) == tokens_of_a_pass(64, 384, GPU) == 64
    assert tokens_of_a_pass(None, 384, GPU) == 16384
    # 16 MiB of four times the hidden size in float32
    assert [tokens_of_a_pass(None, size, CPU) for size in (64, 384, 768, 1024)] == [4096, 2730, 1365, 1024]


def test_a_cpu_cuts_where_sequences_become_shorter_and_a_gpu_fills_its_batches():
    backbone = SimpleNamespace(hidden_layers=6, matrix_parameters=10**7)
    lengths = np.array([5] * 100 + [50] * 100)
    on_cpu = evaluation_batches(lengths, 10**6, backbone, CPU)
    assert computed(lengths, on_cpu) == lengths.sum() and len(on_cpu) == 2
    filled = evaluation_batches(LENGTHS, 500, backbone, GPU)
    assert all(np.array_equal(*pair) for pair in zip(filled, length_sorted(LENGTHS, 500), strict=True))
