"""Retrieval: Tatoeba, BUCC with near misses, LAReQA, Mewsli-X. Languages share no names and no numbers.

People are called by common nouns and there are no years, so that only meaning connects two languages.
(Mewsli-X mentions are surnames, but descriptions contain no name.)
"""

from collections.abc import Iterator, Sequence
from typing import Any

from stiltgrid.data.sources.minilab.languages import ENGLISH
from stiltgrid.data.sources.minilab.realise import Grammar
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import Item, Row, TaskBuilder, change, in_pool
from stiltgrid.data.sources.minilab.tasks_span import Asked, ask, context
from stiltgrid.data.sources.minilab.world import BE, Clause, Manner, Phrase, World

POOL = ("pool", "gold")


def nameless(world: World, stream: Stream, pool: str, place: float = 0.7) -> Clause:
    """An event without names, years or days."""
    return world.certain_event(stream, pool, named=False, manner=Manner(place, 0.0, 0.4))


def distinct(world: World, stream: Stream, pool: str, count: int, taken: set[Any]) -> list[Clause]:
    """Nameless events with different propositions, none of them in `taken`, to which they are added."""
    result: list[Clause] = []
    for _ in range(count * 60):
        clause = nameless(world, stream, pool)
        identity = (clause.key, clause.place and clause.place.head)
        if identity not in taken:
            taken.add(identity)
            result.append(clause)
        if len(result) == count:
            break
    return result


class Translations(TaskBuilder):
    """Tatoeba: row i holds a sentence in the language and its English translation."""

    name = "tatoeba"
    eval_share = 1.25
    parts = {"test": ()}
    skill = "alignment"

    def languages(self, known: Sequence[str]) -> tuple[str, ...]:
        """See `TaskBuilder.languages`."""
        return tuple(code for code in known if code != ENGLISH)

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        return [Item((clause,)) for clause in distinct(world, stream, split, count, set())]

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        english = grammar.english
        for item in items:
            yield {
                "source_sentence": grammar.say(*item.clauses),
                "target_sentence": english.say(*item.clauses),
                "source_lang": grammar.code,
                "target_lang": "eng",
            }


class ParallelSentences(Translations):
    """FLORES: the same sentences in every language, as columns of one table."""

    name = "flores"

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for row in super().rows(grammar, items, split, part):
            yield {"source_sentence": row["source_sentence"], "target_sentence": row["target_sentence"]}


class Mining(TaskBuilder):
    """BUCC: two pools, a third of each translated in the other, the rest near misses of the translated."""

    name = "bucc2018"
    eval_share = 1.25
    parts = {"dev": POOL, "test": POOL}
    skill = "alignment"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """Item.detail: "both", ENGLISH or "foreign": which pool the clause is in."""
        taken: set[Any] = set()
        both = distinct(world, stream, split, max(1, count // 3), taken)
        items = [Item((clause,), 0, "both") for clause in both]
        for side in (ENGLISH, "foreign"):
            rest = count - len(both)
            near = [miss for clause in both if (miss := _near_miss(world, stream, split, clause, taken))]
            near = near[: rest // 2]
            apart = distinct(world, stream, split, rest - len(near), taken)
            items += [Item((clause,), 0, side) for clause in (*near, *apart)]
        return items

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        code = grammar.code
        mine, english = _pool_order(items, code, split), _pool_order(items, ENGLISH, split)
        if part == "gold":
            place = {position: f"{ENGLISH}-{index:06d}" for index, position in enumerate(english)}
            for index, position in enumerate(mine):
                if position in place and code != ENGLISH:
                    yield {"source_id": f"{code}-{index:06d}", "target_id": place[position]}
            return
        for index, position in enumerate(mine):
            yield {"id": f"{code}-{index:06d}", "sentence": grammar.say(*items[position].clauses)}


def _pool_order(items: Sequence[Item], code: str, split: str) -> list[int]:
    side = ENGLISH if code == ENGLISH else "foreign"
    positions = [index for index, item in enumerate(items) if item.detail in ("both", side)]
    return Stream("bucc", split, code).shuffled(positions)


def _near_miss(world: World, stream: Stream, pool: str, clause: Clause, taken: set[Any]) -> Clause | None:
    slot = stream.pick(["subject", "object", "place", "verb"] if clause.object else ["subject"])
    miss = change(world, stream, pool, clause, slot)
    if miss is None:
        return None
    identity = (miss.key, miss.place and miss.place.head)
    if identity in taken:
        return None
    taken.add(identity)
    return miss


class AnswerRetrieval(TaskBuilder):
    """LAReQA: questions, and as candidates every sentence (in its paragraph) of every language."""

    name = "lareqa"
    eval_share = 0.5
    parts = {"test": ("questions", "candidates")}
    skill = "reading"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """One paragraph of four sentences an item, with two questions about different sentences."""
        result: list[Item] = []
        while 2 * len(result) < count:
            events = [event._replace(time="") for event in context(world, stream, split, 4, named=False)]
            questions: dict[int | None, Asked] = {}
            for _ in range(20):
                question = ask(world, stream, split, events)
                if question is not None:
                    questions.setdefault(question.answer, question)
                if len(questions) == 2:
                    clauses = tuple(asked.clause for asked in questions.values())
                    result.append(Item((*events, *clauses), 0, tuple(questions.values())))
                    break
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        code = grammar.code
        for index, item in enumerate(items):
            events = item.clauses[:4]
            if part == "candidates":
                text = grammar.say(*events)
                for place, event in enumerate(events):
                    yield {
                        "candidate_id": f"{code}-{index}-{place}",
                        "lang": code,
                        "sentence": grammar.say(event),
                        "context": text,
                    }
                continue
            for number, question in enumerate(item.detail):
                asked = grammar.text(grammar.question(question.clause, question.role)).text
                yield {
                    "question_id": f"{index}-{number}",
                    "lang": code,
                    "question": asked,
                    "answer_candidate_ids": [f"{code}-{index}-{question.answer}"],
                }


TRIES = 200  # in a small pool a surname and a trade may share no habit; then another pair is drawn


class EntityLinking(TaskBuilder):
    """Mewsli-X: a surname in a sentence, and who is meant, described without names in some language.

    Every surname belongs to several people, of different trades and habits; the sentence shows which one is meant.
    """

    name = "mewslix"
    share = 0.5
    parts = {"train": ("pairs",), "dev": ("pairs", "mentions", "candidates"), "test": ("mentions", "candidates")}
    skill = "entities"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """One entity an item: a surname, a description, and an event that is typical of the entity."""
        result: list[Item] = []
        turn = 0
        while len(result) < count:
            surname, turn = world.surnames[turn % len(world.surnames)], turn + 1
            who = Phrase(stream.pick(world.jobs), stream.pick(world.person_adjectives))
            events = _habit(world, stream, split, Phrase(surname), Phrase(who.head))
            if events is None:
                continue
            act, habit = events
            described = (Clause(BE, Phrase(who.head), Phrase(who.adjective)), habit)
            detail = (f"Q{split}{len(result)}", surname)
            result.append(Item((Clause(BE, Phrase(surname), who), act, *described), 0, detail))
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        codes = grammar.known
        for index, item in enumerate(items):
            entity, surname = item.detail
            if part == "candidates":
                writer = grammar.of(codes[index % len(codes)])
                yield _entity(writer, entity, item)
                continue
            context, mention = _mention(grammar, item, f"{grammar.code}-{split}-{index}")
            if part == "mentions":
                yield {"context": context, "mentions": [mention]}
            else:
                yield {
                    "contextual_mention": {"context": context, "mention": mention},
                    "entity": _entity(grammar, entity, item),
                }


def _habit(world: World, stream: Stream, pool: str, name: Phrase, trade: Phrase) -> tuple[Clause, Clause] | None:
    """One event, with the person named by surname and by trade; both in the pool. None if there is hardly any."""
    for _ in range(TRIES):
        act = world.event(stream, pool, name, named=False, manner=Manner(1.0, 0.0, 0.4))
        if act is not None and act.object is not None and in_pool(act._replace(subject=trade), pool):
            return act, act._replace(subject=trade)
    return None


def _mention(grammar: Grammar, item: Item, name: str) -> tuple[Row, Row]:
    text = grammar.text(grammar.joined(item.clauses[1], item.clauses[0], "and"))
    place = next(index for index, token in enumerate(text.tokens) if token.concept == item.detail[1])
    start, word = text.starts[place], text.tokens[place].text
    span = {"start": start, "end": start + len(word), "text": word}
    context = {
        "document_title": "",
        "document_id": name,
        "language": grammar.code,
        "text": text.text,
        "sentence_spans": [{"start": 0, "end": len(text.text)}],
    }
    return context, {"example_id": name, "mention_span": span, "entity_id": item.detail[0]}


def _entity(grammar: Grammar, entity: str, item: Item) -> Row:
    text = grammar.say(*item.clauses[2:])
    return {
        "entity_id": entity,
        "title": "",
        "language": grammar.code,
        "description": text,
        "sentence_spans": [{"start": 0, "end": len(text)}],
    }
