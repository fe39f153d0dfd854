"""Topics of sentences (SIB-200) and multiple choice on passages (Belebele)."""

from collections.abc import Iterator, Sequence

from stiltgrid.data.sources.minilab.realise import Grammar
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import Item, Row, TaskBuilder, balanced, fronted
from stiltgrid.data.sources.minilab.tasks_span import ask, context
from stiltgrid.data.sources.minilab.world import Clause, World

# What an event is done to, and the topic that stands for it: SIB-200's seven, each for one kind of object.
TOPICS = {
    "tool": "science/technology", "vehicle": "travel", "document": "politics", "animal": "sports", "food": "health",
    "garment": "entertainment", "person": "geography",
}  # fmt: skip


class Topics(TaskBuilder):
    """SIB-200: the topic of a sentence."""

    name = "sib200"
    share = 0.1
    parts = {"train": (), "dev": (), "test": ()}
    skill = "topics"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result = []
        for label in balanced(stream, len(TOPICS), count):
            while _kind(world, event := world.certain_event(stream, split)) != list(TOPICS)[label]:
                pass
            result.append(Item((fronted(stream, event, 0.2),), label))
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            topic = list(TOPICS.values())[item.label]
            yield {"index_id": str(index), "category": topic, "text": grammar.say(*item.clauses)}


def _kind(world: World, event: Clause) -> str:
    """What kind of thing an event is done to; "" for none."""
    if event.object is None:
        return ""
    return world.category.get(event.object.head, "class:person").partition(":")[2]


class PassageQuestions(TaskBuilder):
    """Belebele: which of four people, things, places or days that the passage names answers the question.

    All options are in the passage, one of each of its events, so that only reading tells them apart. `training` gives
    the columns of the English training set, else those of the test set.
    """

    skill = "reading"

    def __init__(self, name: str, splits: Sequence[str], training: bool = False) -> None:
        self.name, self.training = name, training
        self.parts = {split: () for split in splits}

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`. `detail` is the question and the numbers of the events in the options' order."""
        result = []
        for label in balanced(stream, 4, count):
            while True:
                events = [fronted(stream, event, 0.15) for event in context(world, stream, split, 4)]
                question = ask(world, stream, split, events)
                if question is not None and question.answer is not None and _differ(events, question.role):
                    break
            order = stream.shuffled([index for index in range(4) if index != question.answer])
            order.insert(label, question.answer)
            result.append(Item((*events, question.clause), label, (question, tuple(order))))
        return result

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            question, order = item.detail
            sentences = [grammar.sentence(event) for event in item.clauses[:-1]]
            passage = grammar.text(*sentences)
            ends = [sum(len(sentence) for sentence in sentences[:number]) for number in range(5)]
            found = [passage.span(question.role, ends[number], ends[number + 1])[0] for number in range(4)]
            options = [found[number] for number in order]
            asked = grammar.text(grammar.question(question.clause, question.role)).text
            named = zip(range(1, 5), options, strict=True)
            if self.training:
                answers = {f"answer{number}": option for number, option in named}
                yield {
                    "split": split, "passage_id": index, "question_id": 0, "passage": passage.text, "question": asked,
                    **answers, "correct_answer": options[item.label], "correct_answer_num": item.label + 1,
                }  # fmt: skip
            else:
                answers = {f"mc_answer{number}": option for number, option in named}
                yield {
                    "link": f"minilab-{index}", "question_number": 1, "flores_passage": passage.text,
                    "question": asked, **answers, "correct_answer_num": str(item.label + 1), "dialect": grammar.code,
                }  # fmt: skip


def _differ(events: Sequence[Clause], role: str) -> bool:
    """Whether all events say something about a role, and each something else."""
    said = [getattr(event, role) for event in events]
    return all(said) and len({getattr(value, "head", value) for value in said}) == len(events)
