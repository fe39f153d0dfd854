"""Sizes of a world, and the seeded random streams that generate it."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from stiltgrid.data.sources.minilab.languages import LANGUAGES
from stiltgrid.utils.errors import ConfigError, nearest

Item = TypeVar("Item")


@dataclass(frozen=True)
class WorldSettings:
    """Size of a world. `scale` multiplies meanings, documents and training examples.

    `meanings` counts content concepts (beyond the hand-written ones, words are coined), `documents` the
    pretraining documents over all languages, `train_examples` those of the NLI tasks (others in
    proportion), `eval_examples` the rows of an evaluation split in each language. Shares of glossed and
    code-switched words and of bilingual documents are in [0, 1].
    """

    seed: int = 1
    scale: float = 1.0
    meanings: int = 114
    documents: int = 24000
    train_examples: int = 6000
    eval_examples: int = 200
    glossed: float = 0.1
    code_switched: float = 0.4
    bilingual: float = 0.5
    languages: tuple[str, ...] = tuple(LANGUAGES)

    def count(self, base: float, share: float = 1.0) -> int:
        """A size after scaling, at least one."""
        return max(1, round(base * share * self.scale))


def world_settings(world: Mapping[str, Any] | None) -> WorldSettings:
    """Settings from the configuration's `world:` section. Raises ConfigError listing every invalid key."""
    world = dict(world or {})
    known = {field.name: field.type for field in fields(WorldSettings)}
    problems = [f"world: unknown key '{key}', {nearest(key, known)}" for key in world if key not in known]
    for code in world.get("languages") or ():
        if code not in LANGUAGES:
            problems.append(f"world.languages: unknown language '{code}', {nearest(str(code), LANGUAGES)}")
    for key, value in world.items():
        if key in known and key != "languages" and (isinstance(value, bool) or not isinstance(value, (int, float))):
            problems.append(f"world.{key}: a number was expected, found {value!r}")
    if problems:
        raise ConfigError(problems)
    if world.get("languages") is None:
        world.pop("languages", None)
    else:
        world["languages"] = tuple(code for code in LANGUAGES if code in world["languages"])
    return WorldSettings(**world)


class Stream:
    """Seeded random draws that are the same on every machine and Python version.

    Python guarantees this for `random.Random.random` only, so every draw uses it.
    """

    def __init__(self, *names: object) -> None:
        digest = hashlib.sha256("/".join(str(name) for name in names).encode()).digest()
        self.random = random.Random(int.from_bytes(digest[:16], "big")).random

    def below(self, count: int) -> int:
        """An integer in [0, count)."""
        return int(self.random() * count)

    def pick(self, options: Sequence[Item]) -> Item:
        """One of the options, uniformly at random."""
        return options[int(self.random() * len(options))]

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random() < probability

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """The items in random order (Fisher-Yates shuffle)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            result[last], result[other] = result[other], result[last]
        return result

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """`count` items in random order, without replacement."""
        return self.shuffled(items)[:count]
