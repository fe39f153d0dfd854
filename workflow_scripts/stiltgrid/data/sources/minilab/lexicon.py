"""The form of every concept in every language: by sound change, coinage or transliteration."""

from collections.abc import Mapping
from functools import cache, lru_cache

from stiltgrid.data.sources.minilab import inventory
from stiltgrid.data.sources.minilab.languages import LANGUAGES, Language
from stiltgrid.data.sources.minilab.settings import Stream

# Kinds of concept are the letter before the colon of an identifier, as in "noun:bread".
NAME_KINDS = ("given", "surname", "city")

_SYLLABLES = {
    "qaa": ("b br d dr f g gr h k kl l m n p r s sk st t v", "a e i o u", " n r l t k"),
    "qab": ("b d f g j l m n p r s t v z", "a e i o ia", " s n "),
    "qad": ("b ch d g h k l m n p s sh t y", "a e i o u", " k l n r"),
    "qah": ("b d h k kh l m ng n p ph t th w x", "a e i o u ao", " ng m "),
    "qac": ("б в г д ж з к л м н п р с т ф х ц ч ш", "а е и о у я", " н р л к"),
    "qae": ("क ख ग घ च ज ट ड त द न प ब भ म य र ल व श स ह", "\u093e \u093f \u0940 \u0941 \u0947 \u094b", " न र ल"),
    "qaf": ("ბ გ დ ვ ზ თ კ ლ მ ნ პ ჟ რ ს ტ ფ ქ ღ შ ჩ ც ძ წ ხ", "ა ე ი ო უ", " ნ რ ლ"),
}
# One character a word, as the script of an isolating language would have it; spread over the Unicode block.
_HAN = tuple(chr(0x4E00 + 23 * index) for index in range(880))
_HAN_NAMES = (
    "阿巴卡達艾法加哈伊約卡拉馬納奧帕奎拉薩塔烏瓦維希亞扎貝代費格赫凱萊梅內佩雷塞特韋比迪菲吉基利米尼皮里西提"
    "波多福戈科洛莫諾羅索托博杜弗古庫魯穆努普蘇圖"
)

_SOUND_CHANGES = {
    "qaa": (
        ("th", "t"),
        ("ck", "k"),
        ("ch", "k"),
        ("sh", "sk"),
        ("oo", "u"),
        ("ea", "e"),
        ("ee", "i"),
        ("w", "v"),
        ("c", "k"),
        ("a", "o"),
    ),
    "qab": (
        ("th", "d"),
        ("ck", "c"),
        ("ch", "j"),
        ("sh", "s"),
        ("oo", "o"),
        ("ea", "ia"),
        ("ee", "ei"),
        ("k", "c"),
        ("o", "a"),
        ("e", "i"),
    ),
}
_CYRILLIC = dict(zip("abcdefghijklmnopqrstuvwxyz", "абкдефгхижклмнопкрстувукйз", strict=True))
_LETTERS = {
    "cyrillic": _CYRILLIC,
    "devanagari": dict(
        zip("abcdefghijklmnopqrstuvwxyz", "\u093eबकद\u0947फगह\u093fजकलमन\u094bपकरसत\u0941ववकयज", strict=True)
    ),
    "georgian": dict(zip("abcdefghijklmnopqrstuvwxyz", "აბკდეფგჰიჟკლმნოპქრსტუვვხიზ", strict=True)),
}

# Grammatical affixes, which have no English word.
AFFIXES: dict[str, dict[str, str]] = {
    "en": {"verb": "s"},
    "qaa": {"verb": "et"},
    "qab": {},
    "qac": {"verb": "ит", "object": "у"},
    "qad": {"verb": "di", "object": "in", "not": "ma", "in": "da", "on": "ra", "for": "cha", "from": "lan"},
    "qae": {"verb": "ता", "object": "को"},
    "qaf": {"verb": "გა", "object": "ს", "not": "არ"},
    "qag": {},
    "qah": {},
}
PUNCTUATION = {"devanagari": {".": "।"}, "han": {".": "。", "?": "？", ",": "，"}}


def english_concepts(meanings: int) -> dict[str, tuple[str, ...]]:
    """Every content concept with its English forms: the hand-written ones, then coined ones up to `meanings`."""
    concepts: dict[str, tuple[str, ...]] = {}

    def add(kind: str, entry: str) -> None:
        forms = tuple(entry.split())
        concepts[f"{kind}:{forms[0]}"] = forms

    groups = [(f"noun.{name}", entries) for name, entries in inventory.CATEGORIES.items()]
    groups += [("place", inventory.PLACES), ("job", inventory.JOBS), ("folk", inventory.FOLK)]
    groups += [(f"verb.{name or 'alone'}", entries) for name, entries in inventory.VERBS.items()]
    groups += [("day", inventory.DAYS), ("class", tuple(inventory.CATEGORIES))]
    groups += [("adjective", tuple(word for pair in inventory.ADJECTIVE_PAIRS for word in pair))]
    for kind, entries in groups:
        for entry in entries:
            add(kind, entry)
    growing = [kind for kind, _ in groups if kind.startswith(("noun", "verb"))]
    stream, taken = Stream("coined", "en"), {form for forms in concepts.values() for form in forms}
    for index in range(meanings - len(concepts)):
        word = _coin(stream, "qaa", taken)
        add(growing[index % len(growing)], word)
    return concepts


class Vocabulary:
    """The forms of one language: `forms[concept]` -> one or two words."""

    def __init__(self, language: Language, concepts: Mapping[str, tuple[str, ...]], seed: int) -> None:
        self.language = language
        self.affixes = AFFIXES[language.code]
        self.marks = PUNCTUATION.get(language.script, {})
        self.functions = dict(inventory.FUNCTION_WORDS)
        if language.code == "en":
            self.forms = dict(concepts)
        else:
            self.forms = self._translate(concepts, seed)
        self._add_names()

    def _translate(self, concepts: Mapping[str, tuple[str, ...]], seed: int) -> dict[str, tuple[str, ...]]:
        language, taken = self.language, set(self.affixes.values())
        stream = Stream(seed, "lexicon", language.code)
        for key in inventory.FUNCTION_WORDS:
            self.functions[key] = _coin(stream, language.code, taken, short=True)
        self.functions["whom"] = self.functions["who"]
        forms: dict[str, tuple[str, ...]] = {}
        known: dict[str, str] = {}
        for concept, english in concepts.items():
            words = []
            for word in english:
                # A word that is noun and verb in English is so in half of the other languages.
                shared = known.get(word) if stream.chance(0.5) else None
                words.append(shared or self._new_word(word, stream, taken))
                known[word] = words[-1]
            forms[concept] = tuple(words)
        return forms

    def _new_word(self, english: str, stream: Stream, taken: set[str]) -> str:
        cognate = stream.chance(self.language.cognates)
        identical = stream.chance(self.language.identical)
        if cognate:
            word = english.lower() if identical else self._cognate(english, stream, taken)
        else:
            word = _coin(stream, self.language.code, taken)
        taken.add(word)
        return word

    def _cognate(self, word: str, stream: Stream, taken: set[str]) -> str:
        """The English word after the language's sound changes and with a new ending, in its script."""
        code = self.language.code
        base = word.lower()
        for old, new in _SOUND_CHANGES.get(code, ()):
            base = base.replace(old, new)
        letters = _LETTERS.get(self.language.script)
        if letters:
            base = "".join(letters[letter] for letter in base)
        _, vowels, codas = (part.split(" ") for part in _SYLLABLES[code])
        for _ in range(20):
            form = base + stream.pick(vowels) + stream.pick(codas)
            if form not in taken and form != word:
                return form
        return _coin(stream, code, taken)

    def _add_names(self) -> None:
        for kind, names in zip(NAME_KINDS, (inventory.GIVEN_NAMES, inventory.SURNAMES, inventory.CITIES), strict=True):
            for name in names:
                self.forms[f"{kind}:{name}"] = (transliterated(name, self.language.script),)
        for noun in inventory.ORGANISATION_NOUNS:
            if self.language.code == "en":
                form = noun
            else:
                form = _coin(Stream("organisation", self.language.code, noun), self.language.code, set()).capitalize()
            self.forms[f"organisation:{noun}"] = (form,)

    def form(self, concept: str, index: int = 0) -> str:
        """A word of a concept; the first one where there is no synonym of that index."""
        forms = self.forms[concept]
        return forms[index] if index < len(forms) else forms[0]


def transliterated(name: str, script: str) -> str:
    """A name in a script: always itself in Latin, and for one name in two elsewhere (by its letters)."""
    if script == "latin" or sum(map(ord, name)) % 2:
        return name
    if script != "han":
        return "".join(_LETTERS[script][letter] for letter in name.lower())
    vowels, result, consonant = "aeiou", "", 0
    for letter in name.lower():
        if letter in vowels:
            result += _HAN_NAMES[(consonant * 5 + vowels.index(letter)) % len(_HAN_NAMES)]
            consonant = 0
        else:
            consonant = ord(letter) - 96
    return result


def _coin(stream: Stream, code: str, taken: set[str], short: bool = False) -> str:
    """A new word in a language's sounds and script that is not in `taken` (to which it is added)."""
    length = 1 if short else 2
    for attempt in range(10000):
        word = _coined(stream, code, length + attempt // 200)
        if word not in taken:
            taken.add(word)
            return word
    raise RuntimeError(f"{code}: no more words can be coined")


def _coined(stream: Stream, code: str, length: int) -> str:
    if code == "qag":
        return "".join(stream.pick(_HAN) for _ in range(max(1, length - 1)))
    onsets, vowels, codas = _split_syllables(code)
    word = "".join(stream.pick(onsets) + stream.pick(vowels) for _ in range(length))
    return word + stream.pick(codas)


@cache
def _split_syllables(code: str) -> tuple[list[str], list[str], list[str]]:
    onsets, vowels, codas = (part.split(" ") for part in _SYLLABLES[code])
    return onsets, vowels, codas


@lru_cache(maxsize=8)
def vocabularies(meanings: int, seed: int) -> dict[str, Vocabulary]:
    """Vocabularies of all languages of a world, cached."""
    concepts = english_concepts(meanings)
    return {code: Vocabulary(language, concepts, seed) for code, language in LANGUAGES.items()}
