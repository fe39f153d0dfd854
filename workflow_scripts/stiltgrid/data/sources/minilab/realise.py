"""Realisation of meanings as text: word order, affixes and function words of each language, tags and offsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from stiltgrid.data.sources.minilab.lexicon import Vocabulary, vocabularies
from stiltgrid.data.sources.minilab.settings import WorldSettings
from stiltgrid.data.sources.minilab.world import BE, LIVE, WORK, Clause, Phrase


class Token(NamedTuple):
    """One word: its text, its role, its tags, and its concept ("" for punctuation).

    `core` marks the words of a role that are part of an answer (not articles or adpositions).
    `category` is the CCG supertag, in English only. A function word's concept is "function:the".
    """

    text: str
    slot: str
    upos: str
    category: str = ""
    entity: str = "O"
    core: bool = False
    concept: str = ""


@dataclass(frozen=True)
class Text:
    """A text, its tokens, and the character offset of each token."""

    text: str
    tokens: tuple[Token, ...]
    starts: tuple[int, ...]

    def span(self, slot: str, first: int = 0, end: int | None = None) -> tuple[str, int]:
        """The answer to a question about a role, among tokens [first, end): text and character offset."""
        places = [
            index
            for index in range(first, len(self.tokens) if end is None else end)
            if self.tokens[index].slot == slot and self.tokens[index].core
        ]
        start, last = self.starts[places[0]], places[-1]
        stop = self.starts[last] + len(self.tokens[last].text)
        return self.text[start:stop], start


Tokens = tuple[Token, ...]
_TRANSITIVE, _INTRANSITIVE = "(S[{}]\\NP)/NP", "S[{}]\\NP"
_MODIFIER = "(S\\NP)\\(S\\NP)"
_QUESTION_WORDS = {"subject": "who", "object": "what", "place": "where", "time": "when", "whom": "whom"}


def english_third_person(verb: str) -> str:
    """'carry' -> 'carries', 'push' -> 'pushes', 'eat' -> 'eats'."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "o")) else "s")


_ORDERS = {
    "SVO": ("subject", "verb", "object", "place", "time"),
    "SOV": ("subject", "time", "place", "object", "verb"),
    "VSO": ("verb", "subject", "object", "place", "time"),
}


class Grammar:
    """Renders meanings in one language. Noun phrases are cached, since they recur in every data set."""

    def __init__(self, vocabulary: Vocabulary, family: "dict[str, Grammar]") -> None:
        self.vocabulary = vocabulary
        self.known = tuple(family)
        self._family = family
        self.language = vocabulary.language
        self.code = vocabulary.language.code
        self._order = _ORDERS[self.language.order]
        self.noun_phrase = lru_cache(maxsize=50000)(self._noun_phrase)
        self.function, self.mark = cache(self._function), cache(self._mark)

    @property
    def english(self) -> "Grammar":
        """The English grammar of the same world."""
        return self._family["en"]

    def of(self, code: str) -> "Grammar":
        """The grammar of another language of the same world."""
        return self._family[code]

    # Words ------------------------------------------------------------------------------------------

    def _function(self, name: str, slot: str, upos: str, category: str = "") -> Token:
        """A function word."""
        tag = category if self.code == "en" else ""
        return Token(self.vocabulary.functions[name], slot, upos, tag, concept=f"function:{name}")

    def _mark(self, text: str) -> Token:
        """A punctuation mark in the language's own form."""
        return Token(self.vocabulary.marks.get(text, text), "mark", "PUNCT", text if self.code == "en" else "")

    def _noun_phrase(self, phrase: Phrase, slot: str, case: str = "", category: str = "N") -> Tokens:
        """Article, adjective and noun (or a name), the noun with the affix of `case`."""
        kind = phrase.head.partition(":")[0]
        name = kind in ("given", "surname", "city")
        words = []
        if kind == "year":
            words = [Token(phrase.head[5:], slot, "NUM", category, "O", True, phrase.head)]
        elif name or phrase.extra:
            words = self._name(phrase, slot)
        else:
            noun = Token(self.vocabulary.form(phrase.head, phrase.form), slot, "NOUN", "N", "O", True, phrase.head)
            words = [noun]
            if phrase.adjective:
                adjective = self.vocabulary.form(phrase.adjective, phrase.adjective_form)
                token = Token(adjective, slot, "ADJ", "N/N", "O", True, phrase.adjective)
                words = [token, noun] if self.language.adjective == "before" else [noun, token]
        affix = self.vocabulary.affixes.get(case, "") if case else ""
        if affix:
            index = next(place for place, word in enumerate(words) if word.concept == phrase.head)
            prefixed = case == "object" and self.language.case == "prefix"
            text = words[index].text
            words[index] = words[index]._replace(text=affix + text if prefixed else text + affix)
        if self.language.article and not name and not phrase.extra and kind not in ("year", "day"):
            words.insert(0, self.function("the", slot, "DET", "NP/N"))
        return tuple(words)

    def _name(self, phrase: Phrase, slot: str) -> list[Token]:
        """A person (given name and surname), a place or an organisation, with its BIO tags."""
        kind = phrase.head.partition(":")[0]
        form = self.vocabulary.form(phrase.head)
        if phrase.extra.startswith("organisation:"):
            noun = self.vocabulary.form(phrase.extra)
            pair = [(form, phrase.head), (noun, phrase.extra)]
            if self.language.adjective == "after":
                pair.reverse()
            tags = ("B-ORG", "I-ORG")
        else:
            pair = [(form, phrase.head)]
            if phrase.extra:
                pair.append((self.vocabulary.form(phrase.extra), phrase.extra))
            tags = ("B-LOC", "I-LOC") if kind == "city" else ("B-PER", "I-PER")
        categories = ["N/N"] * (len(pair) - 1) + ["N"]
        return [
            Token(text, slot, "PROPN", category if self.code == "en" else "", tag, True, concept)
            for (text, concept), tag, category in zip(pair, tags, categories, strict=False)
        ]

    def oblique(self, phrase: Phrase, slot: str, adposition: str, category: str = "") -> Tokens:
        """A phrase with its adposition, placed (or suffixed) as the language does."""
        if self.language.adposition == "suffix":
            return self.noun_phrase(phrase, slot, adposition)
        word = self.function(adposition, slot, "ADP", category or f"({_MODIFIER})/NP")
        nouns = self.noun_phrase(phrase, slot)
        return (word, *nouns) if self.language.adposition == "pre" else (*nouns, word)

    def verb(self, clause: Clause, kind: str = "dcl") -> Tokens:
        """The verb with its negation. `kind` "b" gives the bare form of English questions."""
        return _verb_group(self, clause, kind)

    # Clauses ----------------------------------------------------------------------------------------

    def roles(self, clause: Clause, kind: str = "dcl") -> dict[str, Tokens]:
        """Words of a clause by role, without word order."""
        parts = {"subject": self.noun_phrase(clause.subject, "subject"), "verb": self.verb(clause, kind)}
        if clause.object is not None:
            if clause.verb == WORK:
                parts["object"] = self.oblique(clause.object, "object", "for", "PP/NP")
            elif clause.verb == BE:
                parts["object"] = self._complement(clause.object)
            else:
                parts["object"] = self.noun_phrase(clause.object, "object", "object")
        if clause.place is not None:
            parts["place"] = self.oblique(clause.place, "place", "in", "PP/NP" if clause.verb == BE else "")
        if clause.time:
            adposition = "in" if clause.time.startswith("year:") else "on"
            parts["time"] = self.oblique(Phrase(clause.time), "time", adposition)
        return parts

    def _complement(self, phrase: Phrase) -> Tokens:
        if phrase.head.startswith("adjective:"):
            form = self.vocabulary.form(phrase.head, phrase.form)
            return (Token(form, "object", "ADJ", "S[adj]\\NP" if self.code == "en" else "", "O", True, phrase.head),)
        words = self.noun_phrase(phrase, "object")
        if self.language.article and words[0].upos == "DET":
            return (self.function("a", "object", "DET", "NP/N"), *words[1:])
        return words

    def clause(self, clause: Clause) -> Tokens:
        """A declarative clause without its final mark."""
        parts = self.roles(clause)
        front = clause.front if clause.front in parts else ""
        opening: Tokens = ()
        if front:
            words = parts.pop(front)
            if self.code == "en":
                words = tuple(word._replace(category="(S/S)/NP") if word.upos == "ADP" else word for word in words)
            opening = (*words, self.mark(","))
        return opening + tuple(word for name in self._order if name in parts for word in parts[name])

    def question(self, clause: Clause, asked: str) -> Tokens:
        """The question about one role of a clause, with its mark."""
        kind = asked
        if asked == "object" and clause.object is not None and _animate(clause.object.head):
            kind = "whom"
        auxiliary = self.language.negation == "auxiliary" and asked != "subject"
        bare = clause._replace(negated=False, front="")
        parts = self.roles(bare, "b" if auxiliary else "dcl")
        word = self.function(
            _QUESTION_WORDS[kind], "asked", "ADV" if asked in ("place", "time") else "PRON", _question_category(asked)
        )
        if not self.language.question_first or asked == "subject" and self.language.order == "SVO":
            parts[asked] = (word,)
            return (*(token for name in self._order if name in parts for token in parts[name]), self.mark("?"))
        parts.pop(asked, None)
        helper: Tokens = ()
        if auxiliary:
            helper = (self.function("does", "verb", "AUX", "(S[q]/(S[b]\\NP))/NP"),)
        rest = tuple(token for name in self._order if name in parts for token in parts[name])
        return (word, *helper, *rest, self.mark("?"))

    def reason_question(self, clause: Clause) -> Tokens:
        """The question "Why does Anna eat the soup?"; the word for "why" comes first in every language."""
        auxiliary = self.language.negation == "auxiliary"
        parts = self.roles(clause._replace(negated=False, front=""), "b" if auxiliary else "dcl")
        helper = (self.function("does", "verb", "AUX", "(S[q]/(S[b]\\NP))/NP"),) if auxiliary else ()
        rest = tuple(token for name in self._order if name in parts for token in parts[name])
        return (self.function("why", "asked", "ADV", _question_category("place")), *helper, *rest, self.mark("?"))

    def happening_question(self, asked: str) -> Tokens:
        """The question "What happens before?" for a cause, "What happens after?" for an effect."""
        words = (
            self.function("what", "asked", "PRON"),
            self.function("happen", "verb", "VERB"),
            self.function("before" if asked == "cause" else "after", "time", "ADV"),
        )
        return (*words, self.mark("?"))

    def kind_question(self, clause: Clause, kind: str) -> Tokens:
        """The question for a thing by its kind, "Which tool does Anna find?" (CommonsenseQA)."""
        noun = Token(self.vocabulary.form(kind), "asked", "NOUN", "N")
        which = (self.function("which", "asked", "DET", "NP/N"), noun)
        words = self.question(clause, "object")
        return tuple(new for word in words for new in (which if word.slot == "asked" else (word,)))

    def joined(self, first: Clause, second: Clause, how: str) -> Tokens:
        """Two clauses in one sentence, by "and" or "because"."""
        category = "conj" if how == "and" else f"({_MODIFIER})/S[dcl]"
        word = self.function(how, "link", "CCONJ" if how == "and" else "SCONJ", category)
        return (*self.clause(first), word, *self.clause(second), self.mark("."))

    def sentence(self, clause: Clause) -> Tokens:
        """A declarative clause with its final mark."""
        return (*self.clause(clause), self.mark("."))

    def text(self, *sentences: Sequence[Token]) -> Text:
        """Sentences as one text with offsets: blanks between words where the script has them."""
        tokens = tuple(token for sentence in sentences for token in sentence)
        pieces, starts, position = [], [], 0
        spaces, previous = self.language.spaces, ""
        for token in tokens:
            word = token.text
            if previous and (spaces or previous[-1].isascii() and word[:1].isascii()):
                tight = token.upos == "PUNCT" and word != "(" or previous[-1] == "("
                if not tight:
                    pieces.append(" ")
                    position += 1
            starts.append(position)
            pieces.append(word)
            position += len(word)
            previous = word
        return Text("".join(pieces), tokens, tuple(starts))

    def say(self, *clauses: Clause) -> str:
        """The text of declarative sentences."""
        return self.text(*(self.sentence(clause) for clause in clauses)).text


def _animate(head: str) -> bool:
    return head.partition(":")[0] in ("given", "surname", "job", "folk")


def _question_category(asked: str) -> str:
    return {"subject": "S[wq]/(S[dcl]\\NP)", "object": "S[wq]/(S[q]/NP)"}.get(asked, "S[wq]/S[q]")


def _verb_group(grammar: Grammar, clause: Clause, kind: str) -> Tokens:
    vocabulary, language, code = grammar.vocabulary, grammar.language, grammar.code
    if clause.verb in (BE, LIVE, WORK):
        return _link_verb(grammar, clause)
    stem = vocabulary.form(clause.verb, clause.verb_form)
    shape = _TRANSITIVE if clause.object is not None else _INTRANSITIVE
    negated = clause.negated
    base = kind == "b" or (negated and language.negation == "auxiliary")
    affix = vocabulary.affixes.get("verb", "")
    text = stem
    if language.inflection == "suffix" and not base:
        middle = vocabulary.affixes.get("not", "") if negated and language.negation == "suffix" else ""
        text = english_third_person(stem) if code == "en" else stem + middle + affix
    elif language.inflection == "prefix":
        text = (vocabulary.affixes["not"] if negated else "") + affix + stem
    category = shape.format("b" if base else "dcl") if code == "en" else ""
    verb = Token(text, "verb", "VERB", category, "O", True, clause.verb)
    if not negated or language.negation in ("suffix", "prefix"):
        return (verb,)
    denial = grammar.function("not", "not", "PART", _MODIFIER)
    if language.negation == "auxiliary":
        return (grammar.function("does", "verb", "AUX", "(S[dcl]\\NP)/(S[b]\\NP)"), denial, verb)
    return (denial, verb) if language.order != "SOV" else (verb, denial)


def _link_verb(grammar: Grammar, clause: Clause) -> Tokens:
    """To be, to live in, to work for: function words without a proposition."""
    name = {BE: "is", LIVE: "live", WORK: "work"}[clause.verb]
    category = "S[dcl]\\NP" if clause.object is None else "(S[dcl]\\NP)/NP"
    if clause.verb == WORK:
        category = "(S[dcl]\\NP)/PP"
    if clause.verb == BE and clause.object is not None and clause.object.head.startswith("adjective:"):
        category = "(S[dcl]\\NP)/(S[adj]\\NP)"
    if clause.verb == BE and clause.object is None:
        category = "(S[dcl]\\NP)/PP"
    verb = grammar.function(name, "verb", "AUX" if clause.verb == BE else "VERB", category)
    if not clause.negated:
        return (verb,)
    denial = grammar.function("not", "not", "PART", _MODIFIER)
    return (verb, denial) if grammar.language.order != "SOV" else (denial, verb)


@lru_cache(maxsize=8)
def grammars(settings: WorldSettings) -> dict[str, Grammar]:
    """A grammar for every language of a world, cached."""
    words = vocabularies(settings.count(settings.meanings), settings.seed)
    family: dict[str, Grammar] = {}
    codes = settings.languages if "en" in settings.languages else ("en", *settings.languages)
    for code in codes:
        family[code] = Grammar(words[code], family)
    for grammar in family.values():
        grammar.known = settings.languages
    return family
