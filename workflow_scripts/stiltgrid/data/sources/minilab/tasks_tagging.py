"""Tagging: CCG supertags (English), parts of speech, and named entities whose surnames look like cities."""

from collections.abc import Iterator, Sequence

from stiltgrid.data.sources.minilab.languages import ENGLISH
from stiltgrid.data.sources.minilab.realise import Grammar, Token, Tokens
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import Item, Row, TaskBuilder, fronted, in_pool
from stiltgrid.data.sources.minilab.world import BE, LIVE, WORK, Clause, Manner, Phrase, World

DATE = "B-DATE"
KINDS = ("plain", "plain", "negated", "joined", "because", "question", "being")


class Sentences(TaskBuilder):
    """Sentences of many shapes with a tag a word: `category` (CCG) or `upos` (UDPOS)."""

    skill = "syntax"

    def __init__(self, name: str, column: str, attribute: str, share: float, splits: Sequence[str]) -> None:
        self.name, self.column, self.attribute, self.share = name, column, attribute, share
        self.parts = {split: () for split in splits}

    def languages(self, known: Sequence[str]) -> tuple[str, ...]:
        """CCG categories are English; parts of speech are everybody's."""
        return tuple(code for code in known if code == ENGLISH or self.attribute != "category")

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        return [_sentence(world, stream, split) for _ in range(count)]

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for item in items:
            tokens = shaped(grammar, item)
            yield {
                "tokens": [token.text for token in tokens],
                self.column: [getattr(token, self.attribute) for token in tokens],
            }


def _sentence(world: World, stream: Stream, pool: str) -> Item:
    kind = stream.pick(KINDS)
    event = fronted(stream, world.certain_event(stream, pool, manner=Manner(0.5, 0.3, 0.5)), 0.3)
    if stream.chance(0.2):
        event = event._replace(time=f"year:{1900 + stream.below(120)}", front="")
    if kind == "negated":
        event = event._replace(negated=True)
    if kind in ("plain", "negated") and event.place is not None and stream.chance(0.25):
        # "The cook sells in the market": the same verb without its object is of another category.
        event = event._replace(object=None)
        if not in_pool(event, pool):
            return _sentence(world, stream, pool)
    if kind in ("joined", "because"):
        second = world.certain_event(stream, pool, manner=Manner(0.3, 0.0))
        return Item((event, second), 0, (kind, ""))
    if kind == "question":
        roles = [role for role in ("subject", "object", "place", "time") if getattr(event, role)]
        return Item((event,), 0, (kind, stream.pick(roles)))
    if kind == "being":
        return Item((event, _being(world, stream, event.subject)), 0, (kind, ""))
    return Item((event,), 0, (kind, ""))


def _being(world: World, stream: Stream, subject: Phrase) -> Clause:
    bare = subject._replace(adjective="")
    if subject.head in world.job and stream.chance(0.3):
        return Clause(BE, bare, Phrase(world.job[subject.head]), negated=stream.chance(0.2))
    if stream.chance(0.5):
        return Clause(BE, bare, Phrase(stream.pick(world.person_adjectives)), negated=stream.chance(0.2))
    return Clause(BE, bare, None, Phrase(world.home_of_person(subject.head)))


def shaped(grammar: Grammar, item: Item) -> Tokens:
    """The words of one or two clauses in the shape that an item asks for."""
    kind, role = item.detail
    if kind == "question":
        return grammar.question(item.clauses[0], role)
    if kind == "being":
        return grammar.sentence(item.clauses[1])
    if kind in ("joined", "because"):
        return grammar.joined(item.clauses[0], item.clauses[1], "and" if kind == "joined" else "because")
    return grammar.sentence(item.clauses[0])


class Entities(TaskBuilder):
    """PAN-X: persons, organisations and places; half of the surnames are also names of cities.

    With `dates`, days and years are entities too (MasakhaNER 2.0).
    """

    share = 0.5
    parts = {"train": (), "dev": (), "test": ()}
    skill = "entities"

    def __init__(self, name: str, dates: bool = False) -> None:
        self.name, self.dates = name, dates

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        return [Item(_entity_clause(world, stream, split)) for _ in range(count)]

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for item in items:
            tokens = grammar.sentence(item.clauses[0])
            yield {
                "tokens": [token.text for token in tokens],
                "ner_tags": [DATE if self.dates and _is_date(token) else token.entity for token in tokens],
                **({} if self.dates else {"langs": [grammar.code] * len(tokens)}),
            }


def _is_date(token: Token) -> bool:
    return token.concept.partition(":")[0] in ("year", "day")


def person(world: World, stream: Stream) -> Phrase:
    """Somebody by given name and surname, by surname, or by given name."""
    given, surname = stream.pick(world.names), stream.pick(world.surnames)
    return stream.pick((Phrase(given, extra=surname), Phrase(surname), Phrase(given)))


def organisation(world: World, stream: Stream) -> Phrase:
    """A company named after a city or after somebody."""
    return Phrase(stream.pick((*world.cities, *world.surnames)), extra=stream.pick(world.organisations))


def _entity_clause(world: World, stream: Stream, pool: str) -> tuple[Clause, ...]:
    who = person(world, stream)
    kind = stream.below(4)
    if kind == 0:
        return (Clause(LIVE, who, None, Phrase(stream.pick(world.cities)), _year(stream)),)
    if kind == 1:
        place = Phrase(stream.pick(world.cities)) if stream.chance(0.5) else None
        return (Clause(WORK, who, organisation(world, stream), place, _year(stream)),)
    if kind == 2:
        who = organisation(world, stream)
    while True:
        event = world.event(stream, pool, who, stream.pick(world.verbs), manner=Manner(0.3))
        if event is None or event.object is None:
            continue
        if event.object.head in world.names:
            event = event._replace(object=person(world, stream))
        if stream.chance(0.5):
            event = event._replace(place=Phrase(stream.pick(world.cities)))
        if in_pool(event, pool):
            return (fronted(stream, event, 0.3),)


def _year(stream: Stream) -> str:
    return f"year:{1900 + stream.below(120)}" if stream.chance(0.3) else ""
