"""When a stage evaluates on development data, and on how many examples, within a share of its computation.

The schedule is a pure function of sizes and settings, so training, a resumed attempt, every process of a group and
`estimate` all compute the same one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

# A forward pass costs a third of one with its gradients (Kaplan et al. 2020, section 2.1).
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class EvaluationSchedule:
    """`number` evaluations on `examples` of each task in a stage of `steps`; the settings ask for one `every` n steps.

    `tokens` are those of one evaluation. `share` is the part of the stage's computation that all evaluations take,
    `requested_share` the part that the requested ones would have taken.
    """

    steps: int
    every: int
    number: int
    examples: tuple[int, ...]
    tokens: float
    share: float
    requested_share: float

    @property
    def requested(self) -> int:
        """The number of evaluations that the settings ask for."""
        return math.ceil(self.steps / self.every)

    def due(self, step: int) -> bool:
        """Whether an evaluation follows this step (1 is the first); one always follows the last step."""
        if self.number == self.requested:
            return step % self.every == 0 or step == self.steps
        return step * self.number // self.steps > (step - 1) * self.number // self.steps


def epoch_steps(steps: int, epochs: float) -> int:
    """Steps of one pass over the data; all of them where there is less than one pass."""
    return max(1, math.ceil(steps / max(1.0, epochs)))


def schedule_evaluations(
    steps: int,
    every: int,
    trained: float,
    share: float | None,
    sizes: Sequence[int],
    tokens: Callable[[Sequence[int]], float],
) -> EvaluationSchedule:
    """The evaluations of a stage that trains on `trained` tokens, at most `share` of its computation (None: no limit).

    Requested is an evaluation `every` n steps and one after the last, on `sizes` development examples of each task;
    `tokens` returns the number of tokens of so many examples of each. Where that exceeds the limit, evaluations are
    fewer and evenly spaced. The limit then holds at every evaluation, so early stopping does not break it. Where even
    one evaluation exceeds it, each task has fewer examples by the same factor, at least one.
    """
    whole, one = tuple(sizes), tokens(sizes)
    plan = EvaluationSchedule(steps, every, math.ceil(steps / every), whole, one, 0.0, 0.0)
    requested = evaluation_share(plan.number * one, trained)
    if share is not None and requested > share:
        budget = share / (1 - share) * trained / FORWARD_SHARE
        if one <= budget:
            plan = replace(plan, number=int(budget // one))
        else:
            fewer = _fitting(whole, tokens, budget)
            plan = replace(plan, number=1, examples=fewer, tokens=tokens(fewer))
    return replace(plan, share=evaluation_share(plan.number * plan.tokens, trained), requested_share=requested)


def evaluation_share(evaluated: float, trained: float) -> float:
    """The share of computation spent on `evaluated` tokens beside training on `trained` tokens."""
    cost = FORWARD_SHARE * evaluated
    return cost / (cost + trained) if cost else 0.0


def _fitting(sizes: tuple[int, ...], tokens: Callable[[Sequence[int]], float], budget: float) -> tuple[int, ...]:
    """The most examples of each task, all reduced by one factor, whose tokens are within the budget."""
    most = max(sizes)
    fits, exceeds = 1, most
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if tokens(_scaled(sizes, middle, most)) <= budget:
            fits = middle
        else:
            exceeds = middle
    return _scaled(sizes, fits, most)


def _scaled(sizes: tuple[int, ...], numerator: int, denominator: int) -> tuple[int, ...]:
    return tuple(max(1, size * numerator // denominator) for size in sizes)
