"""Random sets and orders of tasks, the same on every machine and Python version, since they name jobs."""

import hashlib
import math
import random
from collections.abc import Sequence


def draw_sets(pool: Sequence[str], count: int, draws: int, seed: int) -> list[tuple[str, ...]]:
    """`draws` different random sets of `count` names out of `pool`, each sorted; all sets where there are fewer.

    The order of `pool` does not matter, and a larger `draws` extends a smaller one. Only `random.random` is used,
    because Python guarantees its sequence across versions.
    """
    names = sorted(pool)
    digest = hashlib.sha256(f"{seed}/{count}".encode()).digest()
    draw = random.Random(int.from_bytes(digest[:8], "big")).random
    found: dict[tuple[str, ...], None] = {}
    while len(found) < min(draws, math.comb(len(names), count)):
        order = sorted((draw(), name) for name in names)
        found[tuple(sorted(name for _, name in order[:count]))] = None
    return list(found)


def draw_orders(pool: Sequence[str], draws: int, seed: int) -> list[tuple[str, ...]]:
    """`draws` different random orders of all names of `pool`; all orders where there are fewer."""
    names = sorted(pool)
    digest = hashlib.sha256(f"{seed}/orders".encode()).digest()
    draw = random.Random(int.from_bytes(digest[:8], "big")).random
    found: dict[tuple[str, ...], None] = {}
    while len(found) < min(draws, math.factorial(len(names))):
        found[tuple(name for _, name in sorted((draw(), name) for name in names))] = None
    return list(found)
