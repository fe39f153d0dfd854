"""Pretraining text: stories, biographies and general knowledge, some of it glossed, code-switched or bilingual.

It contains propositions of the training pool only; see `world.pool_of`.
"""

from collections.abc import Iterator

from stiltgrid.data.sources.minilab.languages import ENGLISH, LANGUAGES
from stiltgrid.data.sources.minilab.realise import Grammar, Token, Tokens
from stiltgrid.data.sources.minilab.settings import Stream
from stiltgrid.data.sources.minilab.tasks import fronted, reworded
from stiltgrid.data.sources.minilab.tasks_tagging import organisation
from stiltgrid.data.sources.minilab.world import BE, LIVE, WORK, Clause, Manner, Phrase, World

POOL = "train"
_PLAIN = ("", "given", "surname", "city", "year", "organisation")
_OPENING, _CLOSING = Token("(", "mark", "PUNCT"), Token(")", "mark", "PUNCT")
Line = tuple[str, tuple[Clause, ...], str]  # shape, clauses, what is asked


def document_count(world: World, code: str) -> int:
    """Documents in a language's stream, in proportion to `text_share`."""
    settings = world.settings
    total = sum(LANGUAGES[other].text_share for other in settings.languages)
    return settings.count(settings.documents, LANGUAGES[code].text_share / total)


def documents(world: World, grammar: Grammar) -> Iterator[str]:
    """Every document of a language; a bilingual one repeats each sentence in English."""
    settings, code = world.settings, grammar.code
    for index in range(document_count(world, code)):
        stream = Stream(settings.seed, "corpus", code, index)
        lines = meanings(world, stream)
        bilingual = code != ENGLISH and stream.chance(settings.bilingual)
        others = [other for other in settings.languages if other != code]
        # A document mixes one other language in: English, or in English documents any.
        partner = grammar.of(stream.pick(others)) if code == ENGLISH and others else grammar.english
        texts = []
        for line in lines:
            tokens, translated = shaped(grammar, line), shaped(partner, line)
            if partner is not grammar:
                tokens = _mixed(tokens, translated, stream, world)
            texts.append(grammar.text(tokens).text)
            if bilingual:  # then the partner is English
                texts.append(partner.text(translated).text)
        yield " ".join(texts)


def meanings(world: World, stream: Stream) -> list[Line]:
    """The meaning of a document, before it is put into words."""
    kind = stream.random()
    if kind < 0.6:
        return _story(world, stream)
    return _biography(world, stream) if kind < 0.75 else _knowledge(world, stream)


def shaped(grammar: Grammar, line: Line) -> Tokens:
    """A line in a language."""
    shape, clauses, asked = line
    if shape == "question":
        return grammar.question(clauses[0], asked)
    if shape == "why":
        return grammar.reason_question(clauses[0])
    if shape == "what":
        return grammar.happening_question(asked)
    if shape in ("and", "because"):
        return grammar.joined(clauses[0], clauses[1], shape)
    return grammar.sentence(clauses[0])


def _said(*clauses: Clause, shape: str = "", asked: str = "") -> Line:
    return shape, clauses, asked


def _story(world: World, stream: Stream) -> list[Line]:
    """A chain of events of one protagonist, with restatements, denials, reasons and questions."""
    events = world.chain(stream, POOL, 3 + stream.below(2))
    lines: list[Line] = []
    for index, event in enumerate(events):
        event = fronted(stream, event, 0.15)
        kind = stream.random()
        if index and kind < 0.15:
            lines.append(_said(event._replace(front=""), events[index - 1], shape="because"))
        else:
            lines.append(_said(event))
        if 0.15 <= kind < 0.3:
            lines.append(_said(_restated(world, stream, event)))
        elif 0.3 <= kind < 0.4:
            lines.append(_said(_denied(world, stream, event)))
        elif 0.4 <= kind < 0.6:
            lines += _question(world, stream, event)
        elif index and 0.6 <= kind < 0.68:
            lines += [_said(event, shape="why"), _said(events[index - 1])]
        elif index and 0.68 <= kind < 0.76:
            lines += [_said(event, shape="what", asked="cause"), _said(events[index - 1])]
    # Questions about earlier sentences: answering them requires finding the sentence again.
    for event in stream.sample(events, stream.below(3)):
        lines += _question(world, stream, event)
    return lines


def _restated(world: World, stream: Stream, event: Clause) -> Clause:
    """The same event in other words, some of them left out."""
    event = reworded(world, stream, event, 0.5)._replace(front="")
    if event.place is not None and event.object is not None and stream.chance(0.4):
        event = event._replace(place=None)
    return event._replace(time="") if stream.chance(0.5) else event


def _denied(world: World, stream: Stream, event: Clause) -> Clause:
    """The same protagonist, not doing something else."""
    for _ in range(20):
        clause = world.event(stream, POOL, event.subject, manner=Manner(0.3, 0.0))
        if clause is not None and clause.key != event.key:
            return clause._replace(negated=True)
    return event


def _question(world: World, stream: Stream, event: Clause) -> list[Line]:
    roles = [role for role in ("subject", "object", "place", "time") if getattr(event, role)]
    answer = reworded(world, stream, event, 0.2)
    return [_said(event, shape="question", asked=stream.pick(roles)), _said(answer)]


def _biography(world: World, stream: Stream) -> list[Line]:
    """Home, trade, workplace and habits of a person."""
    name = stream.pick(world.names)
    surname = stream.pick(world.surnames) if stream.chance(0.4) else ""
    full, short = Phrase(name, extra=surname), Phrase(name)
    year = f"year:{1900 + stream.below(120)}" if stream.chance(0.3) else ""
    lines = [_said(Clause(BE, full, Phrase(world.job[name])))]
    lines.append(_said(Clause(LIVE, short, None, Phrase(world.city[name]), year)))
    if stream.chance(0.5):
        lines.append(_said(Clause(WORK, short, organisation(world, stream))))
    for _ in range(2):
        lines.append(_said(world.certain_event(stream, POOL, short)))
    if stream.chance(0.5):
        adjective = stream.pick(world.person_adjectives)
        lines.append(_said(Clause(BE, short, Phrase(adjective, "", world.word(adjective, stream)))))
    return lines


def _knowledge(world: World, stream: Stream) -> list[Line]:
    """Category, usual place and typical properties of things, and an event."""
    lines: list[Line] = []
    for _ in range(3):
        noun = stream.pick(world.things)
        thing = Phrase(noun, "", world.word(noun, stream))
        kind = stream.below(4)
        if kind == 0:
            lines.append(_said(Clause(BE, thing, Phrase(world.category[noun]))))
        elif kind < 3:
            place = world.home[noun]
            clause = Clause(BE, thing, None, Phrase(place, "", world.word(place, stream)))
            lines.append(_said(clause))
        else:
            adjective = stream.pick(world.typical[noun])
            lines.append(_said(Clause(BE, thing, Phrase(adjective, "", world.word(adjective, stream)))))
    event = world.certain_event(stream, POOL, named=False)
    lines.append(_said(event))
    return lines


def _mixed(tokens: Tokens, translated: Tokens, stream: Stream, world: World) -> Tokens:
    """A line with some words replaced by their translation or, content words, followed by it in parentheses.

    Translations come in the form that they have in the translated line: "eats", not "eat".
    """
    settings = world.settings
    foreign = {token.concept: token for token in translated if token.concept.partition(":")[0] not in _PLAIN}
    replaced = settings.glossed + settings.code_switched
    result: list[Token] = []
    for token in tokens:
        other = foreign.get(token.concept)
        draw = stream.random() if other else 1.0
        if other is None or draw >= replaced:
            result.append(token)
        elif draw < settings.code_switched:
            result.append(other)
        elif token.concept.startswith("function:"):
            result.append(token)
        else:
            result += [token, _OPENING, other, _CLOSING]
    return tuple(result)
