"""How many evaluations fit into a stage, in cases computed by hand and in random ones."""

import random

import pytest
from stiltgrid.training.evaluation_schedule import epoch_steps, schedule_evaluations

# The default grid before there was a limit: steps, epochs, tokens trained, and tokens of one evaluation.
MINILAB = {
    "anli_plus": (282, 1, 221393, 4955), "ccg": (94, 1, 35983, 2446), "commonsense_qa": (94, 1, 219145, 14440),
    "cosmos_qa": (94, 1, 378978, 25067), "hellaswag": (94, 1, 277960, 18627), "qqp": (375, 2, 276830, 4571),
    "squad_v1": (500, 2, 816792, 10103), "lareqa": (38, 2, 44640, 14342), "mewslix": (50, 2, 30240, 7578),
    "mnli": (38, 2, 13444, 4452), "panx": (23, 3, 3554, 1908), "pawsx": (125, 2, 51572, 5234),
    "social_i_qa": (15, 2, 15310, 12843), "copa": (15, 2, 12602, 10544), "squad_v1 target": (50, 2, 40956, 10103),
    "tydiqa": (50, 2, 37728, 9304), "udpos": (15, 3, 3009, 2344),
}  # fmt: skip


def steps_of(plan):
    return [step for step in range(1, plan.steps + 1) if plan.due(step)]


def each(tokens):
    """Every development example has so many tokens."""
    return lambda counts: tokens * sum(counts)


def test_evaluations_within_the_limit_stay_as_requested():
    # Three evaluations of 10 examples of 10 tokens, a third of a training token each: 100 beside 1900, a twentieth.
    plan = schedule_evaluations(steps=10, every=4, trained=1900, share=0.0501, sizes=[4, 6], tokens=each(10))
    assert steps_of(plan) == [4, 8, 10] and plan.examples == (4, 6) and plan.number == plan.requested == 3
    assert plan.share == plan.requested_share == pytest.approx(0.05)


@pytest.mark.parametrize(("share", "number"), [(None, 10), (1.0, 10), (0.0499, 9), (0.03, 5), (0.006, 1)])
def test_too_many_evaluations_become_fewer_and_evenly_spaced_and_the_last_step_has_one(share, number):
    # Ten evaluations of 100 tokens beside 6333 1/3: each is 0.5 %.
    plan = schedule_evaluations(steps=1000, every=100, trained=19000 / 3, share=share, sizes=[10], tokens=each(10))
    found = steps_of(plan)
    assert len(found) == plan.number == number and found[-1] == 1000 and plan.examples == (10,)
    gaps = [after - before for before, after in zip([0, *found], found, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_where_one_evaluation_exceeds_the_limit_it_has_fewer_examples_of_every_task():
    # 0.05 / 0.95 * 3 * 1900 = 300 tokens: 30 examples of 10; of 200 and 100, 20 and 10.
    plan = schedule_evaluations(steps=20, every=5, trained=1900, share=0.05, sizes=[200, 100], tokens=each(10))
    assert steps_of(plan) == [20] and plan.requested == 4 and plan.examples == (20, 10)
    assert plan.share == pytest.approx(0.05) and plan.requested_share == pytest.approx(12000 / (12000 + 3 * 1900))
    short = schedule_evaluations(steps=20, every=5, trained=1900, share=0.05, sizes=[200, 3], tokens=each(10))
    assert short.examples == (29, 1), "a small task keeps one"


def test_at_least_one_example_is_evaluated():
    plan = schedule_evaluations(steps=2, every=1, trained=30, share=0.05, sizes=[9], tokens=each(40))
    assert steps_of(plan) == [2] and plan.examples == (1,) and plan.share > 0.05


def test_a_stage_without_development_data_evaluates_none():
    plan = schedule_evaluations(steps=9, every=4, trained=100, share=0.05, sizes=[], tokens=each(10))
    assert steps_of(plan) == [4, 8, 9] and plan.share == 0 and plan.examples == ()


def test_epochs_in_steps():
    assert epoch_steps(38, 2.0) == 19 and epoch_steps(23, 3.0) == 8 and epoch_steps(7, 0.5) == 7 == epoch_steps(7, 1)


@pytest.mark.parametrize("task", MINILAB)
def test_the_default_grid_evaluates_for_at_most_a_twentieth(task):
    steps, epochs, trained, tokens = MINILAB[task]
    plan = schedule_evaluations(steps, epoch_steps(steps, epochs), trained, 0.05, [200], each(tokens / 200))
    read = plan.number * tokens * plan.examples[0] / 200
    assert read / (read + 3 * trained) == pytest.approx(plan.share) and plan.share <= 0.05
    if plan.requested_share > 0.05:
        assert plan.share > 0.02, "the limit is used"


def test_every_stage_stays_within_its_share_also_when_it_stops_early():
    draw = random.Random(7)
    kinds = set()
    for _ in range(3000):
        steps, batch = draw.randint(1, 400), draw.randint(1, 500)
        share = draw.choice([0.01, 0.05, 0.3])
        lengths = [[draw.randint(1, 30) for _ in range(draw.randint(1, 80))] for _ in range(draw.randint(1, 3))]

        def tokens(counts, lengths=lengths):
            return sum(sum(part[:count]) for part, count in zip(lengths, counts, strict=True))

        plan = schedule_evaluations(steps, draw.randint(1, 500), steps * batch, share, list(map(len, lengths)), tokens)
        found, smallest = steps_of(plan), set(plan.examples) == {1}
        assert found[-1] == steps and len(found) == plan.number <= plan.requested
        kinds.add((plan.number == plan.requested, plan.examples == tuple(map(len, lengths))))
        for number, step in enumerate(found, 1):
            read = number * tokens(plan.examples)
            if not smallest and (plan.number < plan.requested or step == steps):
                assert read / (read + 3 * batch * step) <= share + 1e-9
    assert len(kinds) == 4, "kept, fewer evaluations, fewer examples with and without fewer evaluations"
