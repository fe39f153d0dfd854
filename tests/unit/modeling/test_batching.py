import itertools

import numpy as np
import pytest
import torch
from stiltgrid.modeling.batching import make_batch
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.planning import ExampleOrder, PassCost, cut_by_length, length_sorted, pass_cost, plan_step


def encoded(lengths, examples=None):
    ids = [[10 * number + place for place in range(length)] for number, length in enumerate(lengths, start=1)]
    columns = {"input_ids": ids, "example": examples or list(range(len(lengths))), "mark": [list(i) for i in ids]}
    return Encoded(to_table(columns))


def test_every_example_comes_once_an_epoch_in_an_order_told_by_the_seed():
    def epochs(seed):
        order = ExampleOrder(np.arange(100, 112), seed)
        return [np.concatenate([order.take(4) for _ in range(3)]) for _ in range(2)]

    first, second = epochs(1)
    assert sorted(first) == sorted(second) == list(range(100, 112))
    assert list(first) != list(second)
    np.testing.assert_array_equal(epochs(1), [first, second])
    assert list(epochs(2)[0]) != list(first)


def test_a_step_across_the_end_of_an_epoch_holds_no_example_twice_and_loses_none():
    order = ExampleOrder(np.arange(10), 3)
    steps = [order.take(4) for _ in range(50)]
    assert all(len(set(step)) == 4 for step in steps)
    counts = np.bincount(np.concatenate(steps), minlength=10)
    assert counts.min() >= 19 and counts.max() <= 21


def test_a_step_larger_than_the_pool_repeats_examples():
    assert np.bincount(ExampleOrder(np.arange(3), 1).take(7), minlength=3).tolist() in ([3, 2, 2], [2, 3, 2], [2, 2, 3])
    with pytest.raises(ValueError, match="no examples"):
        ExampleOrder(np.arange(0), 1)


def cost(pieces, lengths, counts, overhead, floor=0):
    tokens = [max(lengths[p] for p in piece) * sum(counts[p] for p in piece) for piece in pieces]
    return sum(overhead + max(number, floor) for number in tokens)


def all_partitions(items):
    for cuts in itertools.product([False, True], repeat=len(items) - 1):
        pieces, piece = [], [items[0]]
        for item, cut in zip(items[1:], cuts, strict=True):
            if cut:
                pieces.append(piece)
                piece = []
            piece.append(item)
        yield [*pieces, piece]


@pytest.mark.parametrize("floor", [0, 60, 150])
@pytest.mark.parametrize("seed", range(4))
def test_cuts_are_the_cheapest_of_all(seed, floor):
    random = np.random.default_rng(seed)
    lengths, counts = random.integers(1, 50, 8), random.integers(1, 4, 8)
    pieces = cut_by_length(lengths, counts, 300, PassCost(25, floor))
    ordered = sorted(range(8), key=lambda number: (-lengths[number], number))
    fitting = (p for p in all_partitions(ordered) if all(cost([q], lengths, counts, 0) <= 300 for q in p))
    assert cost(pieces, lengths, counts, 25, floor) == min(cost(p, lengths, counts, 25, floor) for p in fitting)
    assert sorted(np.concatenate(pieces)) == list(range(8))


def test_no_micro_batch_is_larger_than_allowed_unless_one_example_is():
    lengths, counts = np.array([100, 10, 10, 10]), np.array([2, 1, 1, 1])
    pieces = [piece.tolist() for piece in cut_by_length(lengths, counts, 20, PassCost(1))]
    assert pieces[0] == [0] and len(pieces) == 3
    assert all(10 * len(piece) <= 20 for piece in pieces[1:])


def test_a_plan_holds_exactly_the_sequences_of_its_examples():
    data = encoded([5, 6, 30, 7, 8, 9], [0, 0, 1, 2, 2, 3])
    offsets = data.example_offsets
    plan = plan_step(data, offsets, np.array([2, 0, 1]), 1000, PassCost(1))
    assert sorted(np.concatenate(plan)) == [0, 1, 2, 3, 4]
    assert all({0, 1} <= set(part) or not {0, 1} & set(part) for part in plan), "options of one example stay together"
    parted = plan_step(data, offsets, np.array([2, 0, 1]), 14, PassCost(), splits_examples=True)
    assert sorted(np.concatenate(parted)) == [0, 1, 2, 3, 4] and len(parted) > len(plan)


def test_in_batch_negatives_keep_a_step_in_one_pass_and_in_order():
    data = encoded([5, 60, 30])
    plan = plan_step(data, data.example_offsets, np.array([2, 0, 1]), 10, PassCost(), splits_batches=False)
    assert [part.tolist() for part in plan] == [[2, 0, 1]]


def test_sorted_batches_cover_everything_within_the_limit():
    lengths = np.random.default_rng(0).integers(1, 90, 200)
    batches = length_sorted(lengths, 500)
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert all(lengths[batch].max() * len(batch) <= 500 for batch in batches)
    assert length_sorted(np.array([900]), 500)[0].tolist() == [0]


def test_a_batch_gathers_ids_marks_and_lengths():
    batch = make_batch(encoded([2, 4, 1]), [1, 2], pad=0, special=(20,))
    assert batch.input_ids.tolist() == [[20, 21, 22, 23], [30, 0, 0, 0]]
    assert batch.attention_mask.tolist() == [[True] * 4, [True, False, False, False]]
    assert batch.content_mask.tolist() == [[False, True, True, True], [True, False, False, False]]
    assert batch.tokens["mark"].tolist() == [20, 21, 22, 23, 30]
    assert batch.scalars["example"].tolist() == [1, 2]
    assert (batch.real_tokens, batch.computed_tokens) == (5, 8)
    assert batch.model_mask is batch.attention_mask
    assert make_batch(encoded([3, 3]), [0, 1], pad=0).model_mask is None, "no padding, no mask"


def test_pooling_reads_what_it_says():
    batch = make_batch(encoded([3, 2]), [0, 1], pad=0, special=(10, 20))
    hidden = torch.arange(12.0).reshape(2, 3, 2)
    assert batch.pool(hidden, "cls").tolist() == [[0, 1], [6, 7]]
    assert batch.pool(hidden, "last").tolist() == [[4, 5], [8, 9]]
    assert batch.pool(hidden, "mean").tolist() == [[3, 4], [8, 9]]
    assert batch.pool(hidden, "mean_all").tolist() == [[2, 3], [7, 8]]


def test_two_texts_are_compared_by_their_means():
    # <s> a b </s> </s> c </s>, and a single text <s> d </s>; 0 opens, 1 closes, 9 pads.
    columns = {"input_ids": [[0, 5, 6, 1, 1, 7, 1], [0, 8, 1]], "example": [0, 1]}
    batch = make_batch(Encoded(to_table(columns)), [0, 1], 9, (0, 1), "compared")
    hidden = torch.zeros(2, 7, 1)
    hidden[0, :, 0] = torch.tensor([50.0, 1, 3, 50, 50, 5, 50])
    hidden[1, 1, 0] = -2.0
    assert batch.pool(hidden).tolist() == [[2, 5, 3, 10], [-2, -2, 0, 4]]
    answer, alone = batch.compared(hidden)[[5, 8]].tolist()
    assert (answer, alone) == ([2, 5, 3, 10], [-2, -2, 0, 4])
    packed = make_batch(Encoded(to_table(columns)), [0, 1], 9, (0, 1), "compared", packed=True)
    states = batch.flat(hidden).unsqueeze(0)
    assert torch.equal(packed.pool(states), batch.pool(hidden))
    assert torch.equal(packed.compared(states), batch.compared(hidden))


def test_flat_and_padded_are_inverse_on_real_tokens():
    batch = make_batch(encoded([3, 1, 2]), [0, 1, 2], pad=0)
    hidden = torch.randn(3, 3, 5, requires_grad=True)
    flat = batch.flat(hidden)
    assert flat.shape == (6, 5)
    padded = batch.padded(flat, -1.0)
    mask = batch.attention_mask
    assert torch.equal(padded[mask], hidden[mask]) and (padded[~mask] == -1).all()
    padded.sum().backward()
    assert torch.equal(hidden.grad.sum(-1) != 0, mask), "gradients reach real tokens only"


def test_a_pass_costs_less_in_tokens_the_larger_the_model():
    tiny, large = pass_cost("cpu", 2, 65_536), pass_cost("cpu", 24, 302_000_000)
    assert 50 < tiny.overhead < 200 and large.overhead < 1 and tiny.floor == large.floor == 0
    gpu = pass_cost("cuda", 24, 302_000_000)
    assert gpu.overhead == 0 and 1000 < gpu.floor < 5000
