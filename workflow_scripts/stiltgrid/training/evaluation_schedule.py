"""How often, and at how many development examples, a stage looks, so that looks stay a small share of its computation.

A pure function of sizes and settings: training, a resumed attempt of it, every process of a team and `estimate` come
to the same plan.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

# A forward pass costs a third of one with its gradients (Kaplan et al. 2020, section 2.1).
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Looks:
    """`number` looks at `examples` of each task, in a stage of so many steps; asked for was one `every` so many.

    `tokens` are those of one look; `share` is what all looks take of the stage's computation, `asked_share` what those
    asked for would have taken.
    """

    steps: int
    every: int
    number: int
    examples: tuple[int, ...]
    tokens: float
    share: float
    asked_share: float

    @property
    def asked(self) -> int:
        """Looks that were asked for."""
        return math.ceil(self.steps / self.every)

    def due(self, step: int) -> bool:
        """Whether a look comes after this step (1 is the first); after the last one always."""
        if self.number == self.asked:
            return step % self.every == 0 or step == self.steps
        return step * self.number // self.steps > (step - 1) * self.number // self.steps


def epoch_steps(steps: int, epochs: float) -> int:
    """Steps of one pass over the data; all of them where there is less than one pass."""
    return max(1, math.ceil(steps / max(1.0, epochs)))


def plan_looks(
    steps: int,
    every: int,
    trained: float,
    share: float | None,
    sizes: Sequence[int],
    tokens: Callable[[Sequence[int]], float],
) -> Looks:
    """Looks of a stage of `steps` that learns from `trained` tokens, at most `share` of its computation.

    Asked for is a look `every` so many steps and after the last, at `sizes` development examples of each task;
    `tokens` says how many tokens so many examples of each have. Where that is too much, looks are fewer and evenly
    spread: by any of them no more has been spent than the share of what has been learned, so that stopping early does
    not break the limit either. Where even one is too much, it has less of each task by the same factor, at least one
    example.
    """
    whole, once = tuple(sizes), tokens(sizes)
    plan = Looks(steps, every, math.ceil(steps / every), whole, once, 0.0, 0.0)
    asked = taken(plan.number * once, trained)
    if share is not None and asked > share:
        budget = share / (1 - share) * trained / FORWARD_SHARE
        if once <= budget:
            plan = replace(plan, number=int(budget // once))
        else:
            fewer = _fitting(whole, tokens, budget)
            plan = replace(plan, number=1, examples=fewer, tokens=tokens(fewer))
    return replace(plan, share=taken(plan.number * plan.tokens, trained), asked_share=asked)


def taken(read: float, trained: float) -> float:
    """Share of the computation that reading tokens takes beside learning from others."""
    cost = FORWARD_SHARE * read
    return cost / (cost + trained) if cost else 0.0


def _fitting(sizes: tuple[int, ...], tokens: Callable[[Sequence[int]], float], budget: float) -> tuple[int, ...]:
    """The most examples of each task, all less by one factor, whose tokens are within the budget."""
    most = max(sizes)
    fits, exceeds = 1, most
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if tokens(_shrunk(sizes, middle, most)) <= budget:
            fits = middle
        else:
            exceeds = middle
    return _shrunk(sizes, fits, most)


def _shrunk(sizes: tuple[int, ...], part: int, of: int) -> tuple[int, ...]:
    return tuple(max(1, size * part // of) for size in sizes)
