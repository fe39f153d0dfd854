"""Extractive question answering: SQuAD 1.1 and 2.0, XQuAD, MLQA and TyDiQA.

A context describes several events, some of which share a verb or a participant with the event that the question
is about; only that event fits the question (or none, for a question without an answer).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stiltgrid.data.sources.minilab.realise import Grammar
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import Item, Row, TaskBuilder, change, fronted, other, reworded, without
from stiltgrid.data.sources.minilab.world import BE, LIVE, Clause, Manner, Phrase, World

RIVAL = 0.25  # how often an event shares its verb or a participant with the one that is asked about
ROLES = ("subject", "object", "place", "time")


@dataclass(frozen=True)
class Asked:
    """A question: its clause, the role that it asks for, and the index of the event that answers it, or None."""

    clause: Clause
    role: str
    answer: int | None


def fits(event: Clause, question: Asked) -> bool:
    """Whether an event answers a question: it has the role asked for and agrees with all other roles."""
    if event.verb != question.clause.verb or event.negated or not getattr(event, question.role):
        return False
    for slot in ROLES:
        said = getattr(question.clause, slot)
        if slot == question.role or not said:
            continue
        found = getattr(event, slot)
        if not found or getattr(found, "head", found) != getattr(said, "head", said):
            return False
    return True


def context(world: World, stream: Stream, pool: str, length: int, named: bool = True) -> list[Clause]:
    """Events in random order; the second shares a verb with the first, the third its protagonist."""
    while True:
        target = world.certain_event(stream, pool, named=named, manner=Manner(1.0, 0.7))
        if target.object is not None:
            break
    events = [target]
    partners = (("subject",), ("verb",), ("subject", "object"))
    for slots in partners[: length - 1]:
        rival: Clause | None = target if stream.chance(RIVAL) else None
        for slot in slots:
            rival = rival and change(world, stream, pool, rival, slot)
        if rival is None:
            rival = world.certain_event(stream, pool, named=named, manner=Manner(1.0))
        place = other(stream, world.places, target.place.head if target.place else "")
        time = other(stream, world.days, target.time) if stream.chance(0.7) else ""
        if rival.object is not None:
            rival = rival._replace(place=Phrase(place, "", world.word(place, stream)), time=time)
        events.append(rival)
    while len(events) < length:
        events.append(world.certain_event(stream, pool, named=named, manner=Manner(0.7, 0.5)))
    return stream.shuffled(events)


def ask(world: World, stream: Stream, pool: str, events: Sequence[Clause], answerable: bool = True) -> Asked | None:
    """A question about one of the events, or one that no event answers; None if the attempt fails."""
    index = stream.below(len(events))
    event = events[index]
    if event.object is None:
        return None
    roles = [role for role in ROLES if getattr(event, role)]
    role = stream.pick(roles)
    clause = reworded(world, stream, event._replace(front=""), 0.2)
    spare = [slot for slot in ("place", "time") if slot != role and getattr(clause, slot)]
    for slot in spare:
        if stream.chance(0.7):
            clause = without(clause, slot)
    question = Asked(clause, role, index)
    if not answerable:
        slot = stream.pick([slot for slot in ("subject", "verb", "object") if slot != role])
        changed = change(world, stream, pool, clause, slot)
        question = Asked(changed, role, None) if changed else question
    matching = sum(fits(other_event, question) for other_event in events)
    return question if matching == int(answerable) and (question.answer is None) != answerable else None


class Reading(TaskBuilder):
    """SQuAD's columns. `unanswerable` is the share of questions that no event of the context answers."""

    skill = "reading"

    def __init__(
        self,
        name: str,
        splits: Sequence[str],
        length: int = 4,
        share: float = 4 / 3,
        unanswerable: float = 0.0,
        own_documents: bool = False,
    ) -> None:
        self.name, self.length, self.share, self.unanswerable = name, length, share, unanswerable
        self.parts = {split: () for split in splits}
        self.parallel = not own_documents

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result: list[Item] = []
        kinds = stream.shuffled([index < self.unanswerable * count for index in range(count)])
        for missing in kinds:
            question = None
            while question is None:
                events = context(world, stream, split, self.length)
                events = [fronted(stream, event, 0.15) for event in events]
                question = ask(world, stream, split, events, not missing)
            opening = () if self.parallel else (_biography(world, stream, events),)
            result.append(Item((*events, question.clause), int(missing), (tuple(opening), question)))
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            yield self._row(grammar, item, f"{grammar.code}-{split}-{index}")

    def _row(self, grammar: Grammar, item: Item, name: str) -> Row:
        opening, question = item.detail
        story = (*opening, *item.clauses[:-1])
        sentences = [grammar.sentence(clause) for clause in story]
        answers: dict[str, list] = {"text": [], "answer_start": []}
        text = grammar.text(*sentences)
        if question.answer is not None:
            place = question.answer + len(opening)
            first = sum(len(sentence) for sentence in sentences[:place])
            answer, start = text.span(question.role, first, first + len(sentences[place]))
            answers = {"text": [answer], "answer_start": [start]}
        asked = grammar.text(grammar.question(question.clause, question.role)).text
        return {
            "id": name,
            "title": grammar.noun_phrase(story[0].subject, "subject")[-1].text,
            "context": text.text,
            "question": asked,
            "answers": answers,
        }


def _biography(world: World, stream: Stream, events: Sequence[Clause]) -> Clause:
    """An opening sentence about a person of the story, as encyclopedia articles have."""
    subject = stream.pick([event.subject for event in events])
    if subject.head in world.job:
        if stream.chance(0.5):
            return Clause(LIVE, subject, None, Phrase(world.city[subject.head]))
        return Clause(BE, subject, Phrase(world.job[subject.head]))
    return Clause(BE, subject, None, Phrase(world.home_of_person(subject.head)))
