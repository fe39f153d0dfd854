"""Base of the mini-lab's tasks: items without language, and a row for each item in each language.

An item is drawn one time for a split and rendered in every language, so evaluation sets are parallel.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stiltgrid.data.sources.minilab.realise import Grammar
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.world import Clause, Phrase, World, pool_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """An example before it is put into words: its propositions, its label, and details of the task."""

    clauses: tuple[Clause, ...]
    label: int = 0
    detail: Any = None


class TaskBuilder(ABC):
    """Rows of one task. `share` is the number of training examples relative to the NLI tasks.

    `parts` names, for each split of the data set, the tables that it consists of (() for a single one).
    """

    name: str
    share: float = 1.0
    eval_share: float = 1.0
    parallel = True
    parts: Mapping[str, tuple[str, ...]] = {"train": (), "dev": ()}
    skill: str = ""

    @abstractmethod
    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """`count` items whose propositions all belong to the split's pool."""

    @abstractmethod
    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """The items in one language, with the columns of the data set."""

    def languages(self, known: Sequence[str]) -> tuple[str, ...]:
        """Languages that the task is rendered in; by default all (training rows are then exact translations)."""
        return tuple(known)

    def count(self, world: World, split: str) -> int:
        """Number of items in a split."""
        settings = world.settings
        if split == "train":
            return settings.count(settings.train_examples, self.share)
        return max(1, round(settings.eval_examples * self.eval_share))


def balanced(stream: Stream, labels: int, count: int) -> list[int]:
    """Labels in random order, all equally frequent (up to one)."""
    return stream.shuffled([index % labels for index in range(count)])


def in_pool(clause: Clause, pool: str) -> bool:
    """Whether a clause belongs to a pool; general knowledge belongs to all."""
    return clause.general or pool_of(clause.key) == pool


def without(clause: Clause, slot: str) -> Clause:
    """The clause without its place or time."""
    return clause._replace(time="") if slot == "time" else clause._replace(place=None)


def swapped(clause: Clause) -> Clause:
    """The clause with its two participants exchanged."""
    assert clause.object is not None
    return clause._replace(subject=clause.object, object=clause.subject)


def other(stream: Stream, options: Sequence[str], *excluded: str) -> str:
    """One of the options that is none of the excluded."""
    return stream.pick([option for option in options if option not in excluded])


def change(world: World, stream: Stream, pool: str, clause: Clause, slot: str) -> Clause | None:
    """The clause with another value in a slot, of the same pool; None where none is found."""
    for _ in range(40):
        changed = _changed(world, stream, clause, slot)
        if changed is not None and in_pool(changed, pool):
            return changed
    return None


def _changed(world: World, stream: Stream, clause: Clause, slot: str) -> Clause | None:
    if slot == "time":
        return clause._replace(time=other(stream, world.days, clause.time)) if clause.time else None
    if slot == "place":
        if clause.place is None:
            return None
        place = other(stream, world.places, clause.place.head)
        return clause._replace(place=Phrase(place, "", world.word(place, stream)))
    if slot == "subject":
        named = clause.subject.head in world.names
        taken = (clause.subject.head, clause.object.head if clause.object else "")
        subject = clause.subject._replace(head=other(stream, _peers(world, named), *taken), form=0)
        return clause._replace(subject=subject)
    if slot == "object":
        if clause.object is None:
            return None
        head = other(stream, _siblings(world, clause), clause.object.head, clause.subject.head)
        return clause._replace(object=clause.object._replace(head=head, form=0))
    kind = world.object_class(clause.verb)
    verbs = [verb for verb in world.verbs if verb != clause.verb and _fits(world, verb, kind, clause)]
    if not verbs:
        return None
    verb = stream.pick(verbs)
    return clause._replace(verb=verb, verb_form=world.word(verb, stream))


def _peers(world: World, named: bool) -> list[str]:
    return world.names if named else world.folk


def _siblings(world: World, clause: Clause) -> list[str]:
    assert clause.object is not None
    kind = world.object_class(clause.verb)
    if kind == "person":
        return _peers(world, clause.object.head in world.names)
    if kind == "thing":
        return world.nouns[world.category[clause.object.head].partition(":")[2]]
    return world.nouns[kind]


def _fits(world: World, verb: str, kind: str, clause: Clause) -> bool:
    """Whether a verb can take the clause's object."""
    mine = world.object_class(verb)
    if clause.object is None or kind == "person":
        return mine == kind
    return mine == "thing" or f"class:{mine}" == world.category.get(clause.object.head)


def reworded(world: World, stream: Stream, clause: Clause, share: float) -> Clause:
    """The clause with some words exchanged for their synonyms."""

    def phrase(value: Phrase) -> Phrase:
        form, adjective = value.form, value.adjective_form
        if len(world.concepts.get(value.head, ())) > 1 and stream.chance(share):
            form = 1 - form
        if len(world.concepts.get(value.adjective, ())) > 1 and stream.chance(share):
            adjective = 1 - adjective
        return value._replace(form=form, adjective_form=adjective)

    verb_form = clause.verb_form
    if len(world.concepts[clause.verb]) > 1 and stream.chance(share):
        verb_form = 1 - verb_form
    return clause._replace(
        subject=phrase(clause.subject),
        object=phrase(clause.object) if clause.object else None,
        place=phrase(clause.place) if clause.place else None,
        verb_form=verb_form,
    )


def fronted(stream: Stream, clause: Clause, share: float) -> Clause:
    """The clause with, perhaps, its place or time said first."""
    options = [slot for slot in ("place", "time") if getattr(clause, slot)]
    if options and stream.chance(share):
        return clause._replace(front=stream.pick(options))
    return clause
