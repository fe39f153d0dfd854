"""Sentence pairs: inference (MNLI, SNLI, ANLI, XNLI), duplicate questions (QQP) and paraphrases (PAWS-X).

The second sentence is drawn first and in the same way for every label; only the first one is changed to
make the label true. A classifier that reads the second sentence alone is therefore at chance.
"""

from collections.abc import Iterator, Mapping, Sequence

from stiltgrid.data.sources.minilab.realise import Grammar
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import (
    Item,
    Row,
    TaskBuilder,
    balanced,
    change,
    fronted,
    in_pool,
    other,
    reworded,
    swapped,
    without,
)
from stiltgrid.data.sources.minilab.world import Clause, Manner, Phrase, World

ENTAILMENT, NEUTRAL, CONTRADICTION = 0, 1, 2
MODIFIERS = ("place", "time", "adjective")
DROPPED = 0.4  # share of the neutral pairs with a modifier in which the premise lacks it
UNRELATED = 0.6  # share of the other neutral pairs whose premise is another event of the same protagonist
NEGATED = 0.1  # share of the hypotheses
ADDED = 0.25  # how often a premise says more than its hypothesis, for each modifier that this one lacks


class Inference(TaskBuilder):
    """MNLI's columns. `synonyms` is how often a word is exchanged, `distractors` adds a second sentence."""

    skill = "inference"

    def __init__(
        self,
        name: str,
        splits: Sequence[str],
        synonyms: float = 0.3,
        distractors: bool = False,
        adjuncts: float = 0.6,
    ) -> None:
        self.name, self.synonyms, self.distractors = name, synonyms, distractors
        self.manner = Manner(adjuncts, 0.4, 0.4)
        self.added = {ENTAILMENT: dict.fromkeys(MODIFIERS, ADDED), CONTRADICTION: dict.fromkeys(MODIFIERS, ADDED)}
        # A hypothesis without any modifier is given a place.
        self.added[NEUTRAL] = added_to_neutral((adjuncts + (1 - adjuncts) * 0.6 * 0.6, 0.4, 0.4))
        self.parts = {split: () for split in splits}

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result = []
        for label in balanced(stream, 3, count):
            item = None
            while item is None:
                item = self._item(world, stream, split, label)
            result.append(item)
        return result

    def _item(self, world: World, stream: Stream, pool: str, label: int) -> Item | None:
        hypothesis = self._hypothesis(world, stream, pool)
        premise = hypothesis and self._premise(world, stream, pool, hypothesis, label)
        if hypothesis is None or premise is None:
            return None
        premises = [premise]
        if self.distractors:
            premises.insert(stream.below(2), self._distractor(world, stream, pool, premise, hypothesis))
        return Item((*premises, hypothesis), label)

    def _hypothesis(self, world: World, stream: Stream, pool: str) -> Clause | None:
        clause = world.certain_event(stream, pool, manner=self.manner)
        if clause.object is not None and not (clause.place or clause.time or clause.object.adjective):
            # Without a modifier only a denial could contradict it.
            clause = clause._replace(place=world.adjunct_place(clause.object.head, stream))
        if stream.chance(NEGATED):
            return clause._replace(negated=True)
        if clause.object and clause.object.head in world.category and stream.chance(0.15):
            kind = world.category[clause.object.head]
            place = clause.place or world.adjunct_place(clause.object.head, stream)
            clause = clause._replace(object=Phrase(kind), place=place)
            return clause if in_pool(clause, pool) else None
        return clause

    def _premise(self, world: World, stream: Stream, pool: str, hypothesis: Clause, label: int) -> Clause | None:
        general = hypothesis.object is not None and hypothesis.object.head.startswith("class:")
        premise: Clause | None = hypothesis
        if general:
            premise = self._specific(world, stream, pool, hypothesis)
        if premise is None:
            return None
        dropped = ""
        if label == NEUTRAL:
            premise, dropped = _unproven(world, stream, pool, premise, hypothesis.negated)
        elif label == CONTRADICTION:
            premise = _denied(world, stream, pool, premise, hypothesis, general)
        if premise is None:
            return None
        if not premise.negated:
            premise = _enriched(world, stream, premise, dropped, self.added[label])
        return fronted(stream, reworded(world, stream, premise, self.synonyms), 0.2)

    def _specific(self, world: World, stream: Stream, pool: str, hypothesis: Clause) -> Clause | None:
        assert hypothesis.object is not None
        kind = hypothesis.object.head.partition(":")[2]
        for noun in stream.shuffled(world.nouns[kind]):
            premise = hypothesis._replace(object=Phrase(noun))
            if in_pool(premise, pool):
                return premise
        return None

    def _distractor(self, world: World, stream: Stream, pool: str, premise: Clause, hypothesis: Clause) -> Clause:
        taken = {premise.subject.head, hypothesis.subject.head}
        while True:
            clause = world.certain_event(stream, pool)
            if clause.subject.head not in taken and clause.verb not in (premise.verb, hypothesis.verb):
                return clause

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            row: Row = {"premise": grammar.say(*item.clauses[:-1]), "hypothesis": grammar.say(item.clauses[-1])}
            if self.name == "anli":
                row = {"uid": f"{split}-{index}", **row}
            row["label"] = item.label
            if self.name == "anli":
                row["reason"] = ""
            if self.name == "mnli":
                row["idx"] = index
            yield row


def _unproven(world: World, stream: Stream, pool: str, premise: Clause, negated: bool) -> tuple[Clause | None, str]:
    """A premise that leaves the hypothesis open: another event, or a modifier fewer; and which one was dropped."""
    modifiers = [slot for slot in ("place", "time") if getattr(premise, slot) and premise.object is not None]
    if premise.object is not None and premise.object.adjective:
        modifiers.append("adjective")
    if modifiers and not negated and stream.chance(DROPPED):
        slot = stream.pick(modifiers)
        if slot == "adjective":
            assert premise.object is not None
            return premise._replace(object=premise.object._replace(adjective="", adjective_form=0)), slot
        return without(premise, slot), slot
    if stream.chance(UNRELATED):
        return _another_event(world, stream, pool, premise), ""
    slot = stream.pick(("subject", "verb", "object") if premise.object else ("subject", "verb"))
    return change(world, stream, pool, premise, slot), ""


def _another_event(world: World, stream: Stream, pool: str, clause: Clause) -> Clause | None:
    """Something else that the same protagonist does, said with the same modifiers."""
    for _ in range(20):
        event = world.event(stream, pool, clause.subject, manner=Manner(0.0, 0.0, 0.0))
        if event is None or event.verb == clause.verb or (event.object is None) != (clause.object is None):
            continue
        if event.object is None or clause.object is None:
            return event._replace(time=clause.time, negated=clause.negated)
        if event.object.head == clause.object.head:
            continue
        adjectives = world.person_adjectives if event.object.head in world.folk else world.thing_adjectives
        named = event.object.head in world.names
        if clause.object.adjective and not named:
            event = event._replace(object=event.object._replace(adjective=stream.pick(adjectives)))
        return event._replace(place=clause.place, time=clause.time, negated=clause.negated)
    return None


def _denied(
    world: World, stream: Stream, pool: str, premise: Clause, hypothesis: Clause, general: bool
) -> Clause | None:
    """A premise that cannot be true together with the hypothesis."""
    if hypothesis.negated:
        return premise._replace(negated=False)
    options = [slot for slot in ("place", "time") if getattr(premise, slot)]
    if premise.object is not None and premise.object.adjective:
        options.append("adjective")
    # As often as hypotheses are negated, so that negation does not reveal the label.
    if not general and (not options or stream.chance(NEGATED / (1 - NEGATED))):
        return premise._replace(negated=True)
    if not options:
        return None
    slot = stream.pick(options)
    if slot == "adjective":
        assert premise.object is not None
        adjective = world.opposite[premise.object.adjective]
        return premise._replace(object=premise.object._replace(adjective=adjective, adjective_form=0))
    return change(world, stream, pool, premise, slot)


def added_to_neutral(shares: Sequence[float]) -> dict[str, float]:
    """How often a neutral premise gets each modifier that the hypothesis lacks.

    `shares` says how often a hypothesis has each. A neutral premise may lose one, and a short premise would
    reveal its label; so others are added more often, until modifiers are equally frequent under all labels.
    """
    result = {}
    for place, (name, share) in enumerate(zip(MODIFIERS, shares, strict=True)):
        first, second = (other_share for index, other_share in enumerate(shares) if index != place)
        alone, both = (1 - first) * (1 - second), first * second
        lost = DROPPED * share * (alone + (1 - alone - both) / 2 + both / 3)
        result[name] = min(1.0, ADDED + lost / (1 - share))
    return result


def _enriched(world: World, stream: Stream, premise: Clause, dropped: str, added: Mapping[str, float]) -> Clause:
    """A positive event with modifiers that the hypothesis lacks; the hypothesis stays true or undecided."""
    thing = premise.object
    if thing is not None:
        if premise.place is None and dropped != "place" and stream.chance(added["place"]):
            premise = premise._replace(place=world.adjunct_place(thing.head, stream))
        adjectives = world.person_adjectives if thing.head in world.folk else world.thing_adjectives
        named = thing.head in world.names
        if not thing.adjective and not named and dropped != "adjective" and stream.chance(added["adjective"]):
            premise = premise._replace(object=thing._replace(adjective=stream.pick(adjectives)))
    if not premise.time and dropped != "time" and stream.chance(added["time"]):
        premise = premise._replace(time=stream.pick(world.days))
    return premise


class DuplicateQuestions(TaskBuilder):
    """QQP: whether two questions ask the same."""

    name = "qqp"
    skill = "paraphrase"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result = []
        for label in balanced(stream, 2, count):
            item = None
            while item is None:
                item = self._item(world, stream, split, label)
            result.append(item)
        return result

    def _item(self, world: World, stream: Stream, pool: str, label: int) -> Item | None:
        second = _paraphrasable(world, stream, pool)
        asked = stream.pick([slot for slot in ("subject", "object", "place", "time") if getattr(second, slot)])
        first, first_asked = second, asked
        if label == 0:
            kinds = ["role", "slot", "slot"] + ["swap"] * (2 * _swappable(world, second))
            kind = stream.pick(kinds)
            if kind == "role":
                roles = [slot for slot in ("subject", "object", "place", "time") if getattr(second, slot)]
                first_asked = other(stream, roles, asked)
            elif kind == "swap":
                first = swapped(second)
            else:
                said = [slot for slot in ("subject", "verb", "object", "place", "time") if slot != asked]
                changed = change(world, stream, pool, second, stream.pick(said))
                if changed is None:
                    return None
                first = changed
        spare = [slot for slot in ("place", "time") if slot not in (asked, first_asked) and _same(first, second, slot)]
        if spare and stream.chance(0.4):
            first = without(first, stream.pick(spare))
        first = reworded(world, stream, first, 0.4)
        if first == second and first_asked == asked:
            return None
        pair = [(first, first_asked), (second, asked)]
        if stream.chance(0.5):
            pair.reverse()
        return Item(tuple(clause for clause, _ in pair), label, tuple(role for _, role in pair))

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            questions = [
                grammar.text(grammar.question(clause, asked)).text
                for clause, asked in zip(item.clauses, item.detail, strict=True)
            ]
            yield {"question1": questions[0], "question2": questions[1], "label": item.label, "idx": index}


class Paraphrases(TaskBuilder):
    """PAWS-X: much the same words, the same meaning or not."""

    name = "pawsx"
    share = 0.5
    parts = {"train": (), "dev": (), "test": ()}
    skill = "paraphrase"

    def items(self, world: World, stream: Stream, split: str, count: int) -> list[Item]:
        """See `TaskBuilder.items`."""
        result = []
        for label in balanced(stream, 2, count):
            first = None
            while first is None:
                second = fronted(stream, _paraphrasable(world, stream, split), 0.3)
                first = self._first(world, stream, split, second, label)
            pair = (first, second) if stream.chance(0.5) else (second, first)
            result.append(Item(pair, label))
        return result

    def _first(self, world: World, stream: Stream, pool: str, second: Clause, label: int) -> Clause | None:
        first: Clause | None = second
        if label == 0:
            if _swappable(world, second) and stream.chance(0.6):
                first = swapped(second)
            else:
                first = change(world, stream, pool, second, stream.pick(("subject", "verb", "object", "place", "time")))
        if first is None:
            return None
        first = fronted(stream, reworded(world, stream, first._replace(front=""), 0.4), 0.4)
        return None if first == second else first

    def rows(self, grammar: Grammar, items: Sequence[Item], split: str, part: str | None) -> Iterator[Row]:
        """See `TaskBuilder.rows`."""
        for index, item in enumerate(items):
            first, second = (grammar.say(clause) for clause in item.clauses)
            yield {"id": index, "sentence1": first, "sentence2": second, "label": item.label}


def _same(first: Clause, second: Clause, slot: str) -> bool:
    return bool(getattr(first, slot)) and getattr(first, slot) == getattr(second, slot)


def _paraphrasable(world: World, stream: Stream, pool: str) -> Clause:
    """An event with an object, a place and a time; every third one between two people."""
    people = stream.chance(0.35)
    while True:
        verb = stream.pick([verb for verb in world.verbs if (world.object_class(verb) == "person") == people])
        if not world.objects(verb):
            continue
        clause = world.event(stream, pool, None, verb, manner=Manner(1.0, 1.0))
        if clause is not None:
            return clause


def _swappable(world: World, clause: Clause) -> bool:
    return world.object_class(clause.verb) == "person"
