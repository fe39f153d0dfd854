"""Multiple choice about sequences of events (HellaSwag, Cosmos QA, Social IQa, COPA, XCOPA), and CommonsenseQA.

`World.next` defines which verb follows which. Wrong choices are events of the same protagonist with a verb that
is no answer, so that choices differ in their meaning only.
"""

from collections.abc import Iterator, Sequence

from stiltgrid.data.sources.minilab.realise import Grammar
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import Item, Row, TaskBuilder, balanced
from stiltgrid.data.sources.minilab.world import Clause, Manner, Phrase, World

CHOICE = Manner(0.3, 0.0, 0.2)
CAUSE, EFFECT = "cause", "effect"


def story(world: World, stream: Stream, pool: str, length: int) -> list[Clause]:
    """A chain of events with any first verb."""
    return world.chain(stream, pool, length, manner=CHOICE, habit=False)


def alternatives(
    world: World,
    stream: Stream,
    pool: str,
    subject: Phrase,
    wrong: Sequence[str],
    count: int,
    length: int,
    place: int = -1,
) -> list[Clause]:
    """`count` events of a person, with different verbs, none of them in `wrong`.

    Their verbs are drawn from position `place` of other stories of the same length, as the right one is, so that
    each verb is as frequent among wrong choices as among right ones.
    """
    taken = set(wrong)
    result: list[Clause] = []
    while len(result) < count:
        verb = story(world, stream, pool, length)[place].verb
        if verb in taken:
            continue
        clause = world.event(stream, pool, subject, verb, manner=CHOICE)
        if clause is not None:
            result.append(clause)
            taken.add(verb)
    return result


def placed(stream: Stream, right: Clause, wrong: Sequence[Clause], label: int) -> tuple[Clause, ...]:
    """The choices in order, the right one at `label`."""
    choices = stream.shuffled(wrong)
    choices.insert(label, right)
    return tuple(choices)


class Continuation(TaskBuilder):
    """HellaSwag: which event comes next."""

    name = "hellaswag"
    share = 0.5
    skill = "sequel"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result = []
        for label in balanced(stream, 4, count):
            *context, right = story(world, stream, split, 3)
            verbs = [clause.verb for clause in context]
            wrong = alternatives(world, stream, split, right.subject, [*verbs, right.verb], 3, 3)
            result.append(Item((*context, *placed(stream, right, wrong, label)), label))
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            first, second, *endings = (grammar.say(clause) for clause in item.clauses)
            beginning = grammar.say(*item.clauses[:2])
            yield {
                "ind": index,
                "activity_label": "",
                "ctx_a": first,
                "ctx_b": second,
                "ctx": beginning,
                "endings": endings,
                "source_id": "",
                "split": split,
                "split_type": "",
                "label": str(item.label),
            }


class Reason(TaskBuilder):
    """Cosmos QA: why somebody did something, which the context does not say."""

    name = "cosmos_qa"
    share = 0.5
    skill = "cause"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result = []
        for label in balanced(stream, 4, count):
            right, event = story(world, stream, split, 2)
            wrong = alternatives(world, stream, split, event.subject, [event.verb, right.verb], 3, 2, 0)
            aside = world.certain_event(stream, split, manner=CHOICE)
            context = stream.shuffled([event, aside])
            result.append(Item((*context, *placed(stream, right, wrong, label)), label, context.index(event)))
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            asked = grammar.text(grammar.reason_question(item.clauses[item.detail])).text
            row: Row = {"id": f"{split}-{index}", "context": grammar.say(*item.clauses[:2]), "question": asked}
            row.update({f"answer{place}": grammar.say(clause) for place, clause in enumerate(item.clauses[2:])})
            yield {**row, "label": item.label}


class SocialQuestions(TaskBuilder):
    """Social IQa: what happens before or after an event, three answers, labels "1" to "3"."""

    name = "social_i_qa"
    share = 0.5
    skill = "cause"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        return [_cause_item(world, stream, split, 3, label) for label in balanced(stream, 3, count)]

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for item in items:
            context, *answers = (grammar.say(clause) for clause in item.clauses)
            row: Row = {"context": context, "question": grammar.text(grammar.happening_question(item.detail)).text}
            row.update(zip(("answerA", "answerB", "answerC"), answers, strict=True))
            yield {**row, "label": str(item.label + 1)}


class Causes(TaskBuilder):
    """COPA and XCOPA: the more plausible cause or effect, two choices."""

    skill = "cause"

    def __init__(self, name: str, splits: Sequence[str], share: float) -> None:
        self.name, self.share = name, share
        self.parts = {split: () for split in splits}

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        return [_cause_item(world, stream, split, 2, label) for label in balanced(stream, 2, count)]

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            premise, first, second = (grammar.say(clause) for clause in item.clauses)
            row: Row = {"premise": premise, "choice1": first, "choice2": second, "question": item.detail}
            row["idx"], row["label"] = index, item.label
            yield {**row, "changed": False} if self.name == "xcopa" else row


def _cause_item(world: World, stream: Stream, pool: str, choices: int, label: int) -> Item:
    asked = CAUSE if stream.chance(0.5) else EFFECT
    first, second = story(world, stream, pool, 2)
    right, premise = (first, second) if asked == CAUSE else (second, first)
    place = 0 if asked == CAUSE else 1
    wrong = alternatives(world, stream, pool, premise.subject, [premise.verb, right.verb], choices - 1, 2, place)
    return Item((premise, *placed(stream, right, wrong, label)), label, asked)


class Commonsense(TaskBuilder):
    """CommonsenseQA: where a thing is at home, and which thing is of a kind; five choices."""

    name = "commonsense_qa"
    share = 0.5
    skill = "knowledge"
    options = 5

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result = []
        for label in balanced(stream, self.options, count):
            while True:
                event = world.certain_event(stream, split, manner=Manner(1.0, 0.0))
                if world.object_class(event.verb) == "thing":
                    break
            assert event.object is not None
            thing = event.object.head
            asked = "place" if stream.chance(0.5) else world.category[thing]
            if asked == "place":
                right = world.home[thing]
                wrong = stream.sample([place for place in world.places if place != right], self.options - 1)
            else:
                right = thing
                kinds = stream.sample([kind for kind in world.nouns if f"class:{kind}" != asked], self.options - 1)
                wrong = [stream.pick(world.nouns[kind]) for kind in kinds]
            options = stream.shuffled(wrong)
            options.insert(label, right)
            result.append(Item((event,), label, (asked, tuple(options))))
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            question, concept, words = _knowledge_question(grammar, item)
            yield {
                "id": f"{split}-{index}",
                "question": question,
                "question_concept": grammar.vocabulary.form(concept),
                "choices": {"label": list("ABCDE"), "text": words},
                "answerKey": "ABCDE"[item.label],
            }


class Examination(Commonsense):
    """INCLUDE: questions without a passage, four options."""

    name = "include44"
    options = 4
    parts = {"dev": (), "test": ()}

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for item in items:
            question, _, words = _knowledge_question(grammar, item)
            yield {"question": question, **dict(zip(_OPTIONS, words, strict=True)), "answer": item.label}


_OPTIONS = ("option_a", "option_b", "option_c", "option_d")


def _knowledge_question(grammar: Grammar, item: Item) -> tuple[str, str, list[str]]:
    """The question, the concept that it is about, and the options' words."""
    asked, options = item.detail
    event = item.clauses[0]
    assert event.object is not None
    concept = event.object.head if asked == "place" else asked
    question = grammar.question(event._replace(place=None), "place")
    if asked != "place":
        question = grammar.kind_question(event, asked)
    return grammar.text(question).text, concept, [grammar.vocabulary.form(option) for option in options]
