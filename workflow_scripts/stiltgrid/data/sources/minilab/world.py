"""Meanings: entities, what is typical of them, which event follows which, and which propositions are held out."""

import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from stiltgrid.data.sources.minilab import inventory
from stiltgrid.data.sources.minilab.lexicon import english_concepts
from stiltgrid.data.sources.minilab.settings import Stream, WorldSettings

PEAK = 0.65  # share of typical choices; with a flatter distribution a language model has nothing to learn
BE, LIVE, WORK = "verb.link:be", "verb.link:live", "verb.link:work"


class Phrase(NamedTuple):
    """A participant: its concept, its synonym, and its modifiers.

    `extra` is the surname of a person with a given name, or the noun of an organisation.
    """

    head: str
    adjective: str = ""
    form: int = 0
    extra: str = ""
    adjective_form: int = 0


class Clause(NamedTuple):
    """A proposition. `front` names the adjunct that is said first ("place", "time" or "")."""

    verb: str
    subject: Phrase
    object: Phrase | None = None
    place: Phrase | None = None
    time: str = ""
    negated: bool = False
    verb_form: int = 0
    front: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Identity of the proposition, whatever its wording: verb, subject and object (or place)."""
        other = self.object or self.place
        return (self.verb, self.subject.head, other.head if other else "")

    @property
    def general(self) -> bool:
        """Whether this is general knowledge (being, living, working) rather than an event."""
        return self.verb.startswith("verb.link:")


@cache
def pool_of(key: tuple[str, str, str]) -> str:
    """The pool of a proposition; three in five are in the pool of training and pretraining.

    The two participants are unordered, so that exchanging them keeps the pool.
    """
    verb, first, second = key
    text = "/".join((verb, *sorted((first, second))))
    share = hashlib.sha256(text.encode()).digest()[0]
    return "train" if share < 154 else "dev" if share < 192 else "test"


class Manner(NamedTuple):
    """Probabilities that an event has a place, a day, adjectives and synonyms."""

    place: float = 0.5
    time: float = 0.25
    modified: float = 0.3
    synonym: float = 0.25


USUAL = Manner()


class World:
    """The facts of a world, drawn from its seed. Sequences have a fixed order."""

    def __init__(self, settings: WorldSettings) -> None:
        self.settings = settings
        self.concepts = english_concepts(settings.count(settings.meanings))
        self.nouns = {
            name: [key for key in self.concepts if key.startswith(f"noun.{name}:")] for name in inventory.CATEGORIES
        }
        self.things = [noun for nouns in self.nouns.values() for noun in nouns]
        self.category = {noun: f"class:{name}" for name, nouns in self.nouns.items() for noun in nouns}
        self.places = self._kind("place")
        self.folk = [*self._kind("job"), *self._kind("folk")]
        self.jobs = self._kind("job")
        self.days = self._kind("day")
        self.verbs = [key for key in self.concepts if key.startswith("verb.")]
        self.names = [f"given:{name}" for name in inventory.GIVEN_NAMES]
        self.surnames = [f"surname:{name}" for name in inventory.SURNAMES]
        self.cities = [f"city:{name}" for name in inventory.CITIES]
        self.organisations = [f"organisation:{noun}" for noun in inventory.ORGANISATION_NOUNS]
        self.opposite = self._opposites()
        people_adjectives = {"adjective:happy", "adjective:sad", "adjective:tall", "adjective:short"}
        self.person_adjectives = [key for key in self.opposite if key in people_adjectives]
        self.thing_adjectives = [key for key in self.opposite if key not in people_adjectives]
        self._draw_knowledge()

    def _kind(self, kind: str) -> list[str]:
        return [key for key in self.concepts if key.startswith(f"{kind}:")]

    def _opposites(self) -> dict[str, str]:
        pairs = [
            (f"adjective:{first.split()[0]}", f"adjective:{second.split()[0]}")
            for first, second in inventory.ADJECTIVE_PAIRS
        ]
        return {**dict(pairs), **{second: first for first, second in pairs}}

    def _draw_knowledge(self) -> None:
        stream = Stream(self.settings.seed, "knowledge")
        self.home = {
            noun: self.places[index % len(self.places)] for index, noun in enumerate(stream.shuffled(self.things))
        }
        self.typical = {noun: stream.sample(self.thing_adjectives, 2) for noun in self.things}
        self.typical.update({person: stream.sample(self.person_adjectives, 2) for person in self.folk})
        self.preferred = {verb: stream.sample(self.objects(verb), 2) for verb in self.verbs if self.objects(verb)}
        order = stream.shuffled(self.verbs)
        self.next = dict(zip(order, [*order[1:], order[0]], strict=True))
        self.previous = {after: before for before, after in self.next.items()}
        self.habits = {person: stream.sample(self.verbs, 3) for person in (*self.names, *self.folk)}
        self.job = {name: stream.pick(self.jobs) for name in self.names}
        self.city = {name: stream.pick(self.cities) for name in self.names}
        self.workplace = {job: stream.pick(self.places) for job in self.jobs}

    def object_class(self, verb: str) -> str:
        """What a verb takes as its object: a category, "thing", "person" or "" (nothing)."""
        name = verb.partition(".")[2].partition(":")[0]
        return "" if name in ("alone", "link") else name

    def objects(self, verb: str, named: bool = True) -> list[str]:
        """The concepts that a verb can take as its object; without `named`, people are never names."""
        kind = self.object_class(verb)
        if kind == "person":
            return [*self.names, *self.folk] if named else self.folk
        if kind == "thing":
            return self.things
        return self.nouns[kind] if kind else []

    # Drawing of events ------------------------------------------------------------------------------

    def word(self, concept: str, stream: Stream, synonym: float = 0.25) -> int:
        """Which of a concept's words to use."""
        return int(len(self.concepts.get(concept, ())) > 1 and stream.chance(synonym))

    def phrase(self, head: str, stream: Stream, manner: Manner = USUAL) -> Phrase:
        """A participant, possibly with an adjective (a typical one two times in three)."""
        adjective = ""
        options = self.typical.get(head)
        if options and stream.chance(manner.modified):
            every = self.person_adjectives if head in self.folk else self.thing_adjectives
            adjective = stream.pick(options if stream.chance(PEAK) else every)
        form = self.word(head, stream, manner.synonym)
        return Phrase(head, adjective, form, "", self.word(adjective, stream, manner.synonym) if adjective else 0)

    def adjunct_place(self, thing: str, stream: Stream) -> Phrase:
        """Place of an event: the thing's usual place two times in three."""
        home = self.home.get(thing) or self.workplace.get(thing)
        place = home if home and stream.chance(PEAK) else stream.pick(self.places)
        return Phrase(place, "", self.word(place, stream))

    def protagonist(self, stream: Stream, named: bool = True, manner: Manner = USUAL) -> Phrase:
        """A person: by name two times in three (never without `named`), else by trade or age."""
        people = self.names if named and stream.chance(PEAK) else self.folk
        return self.phrase(stream.pick(people), stream, manner)

    def event(
        self,
        stream: Stream,
        pool: str,
        subject: Phrase | None = None,
        verb: str = "",
        *,
        named: bool = True,
        manner: Manner = USUAL,
    ) -> Clause | None:
        """One event of a pool; None where the pool has none of this subject and verb."""
        if subject is None:
            subject = self.protagonist(stream, named, manner)
        if not verb:
            habits = self.habits.get(subject.head, self.verbs)
            verb = stream.pick(habits if stream.chance(PEAK) else self.verbs)
        head = self._object(verb, subject.head, stream, pool, named)
        if head is None:
            return None
        object_, where = None, None
        if self.objects(verb):
            object_ = self.phrase(head, stream, manner)
            where = self.adjunct_place(head, stream) if stream.chance(manner.place) else None
        else:
            where = Phrase(head, "", self.word(head, stream, manner.synonym))
        when = stream.pick(self.days) if stream.chance(manner.time) else ""
        return Clause(verb, subject, object_, where, when, False, self.word(verb, stream, manner.synonym))

    def _object(self, verb: str, subject: str, stream: Stream, pool: str, named: bool) -> str | None:
        options: Sequence[str] = self.objects(verb, named) or self.places
        favourites = self.preferred.get(verb) or [self.home_of_person(subject)]
        if stream.chance(PEAK):
            for head in stream.shuffled(favourites):
                if head != subject and (head in options) and pool_of((verb, subject, head)) == pool:
                    return head
        for _ in range(30):
            head = stream.pick(options)
            if head != subject and pool_of((verb, subject, head)) == pool:
                return head
        return None

    def home_of_person(self, person: str) -> str:
        """The usual place of a person: the workplace of the job."""
        return self.workplace.get(self.job.get(person, person), self.places[0])

    def certain_event(
        self, stream: Stream, pool: str, subject: Phrase | None = None, *, named: bool = True, manner: Manner = USUAL
    ) -> Clause:
        """An event of a pool. Draws subjects (if none is given) and verbs until there is one."""
        for _ in range(1000):
            clause = self.event(stream, pool, subject, named=named, manner=manner)
            if clause:
                return clause
        raise RuntimeError(f"no event in the pool '{pool}' for {subject}")

    def chain(
        self, stream: Stream, pool: str, length: int, *, named: bool = True, manner: Manner = USUAL, habit: bool = True
    ) -> list[Clause]:
        """Events of one protagonist, each of which causes the next (`World.next`).

        The first verb is any, or (`habit`) mostly one that is typical of the protagonist.
        """
        for _ in range(2000):
            who = self.protagonist(stream, named)
            step = "" if habit else stream.pick(self.verbs)
            clauses: list[Clause] = []
            for _ in range(length):
                clause = self.event(stream, pool, who, step, named=named, manner=manner)
                if clause is None:
                    break
                clauses.append(clause)
                step = self.next[clause.verb]
            if len(clauses) == length:
                return clauses
        raise RuntimeError(f"no chain of {length} events in the pool '{pool}'")


@lru_cache(maxsize=8)
def world_of(settings: WorldSettings) -> World:
    """The world of some settings, cached."""
    return World(settings)
