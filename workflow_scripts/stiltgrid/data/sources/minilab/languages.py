"""Typology of the mini-lab's languages, as a table that other code (the studies) reads.

English is controlled English; the others are constructed and carry ISO 639 private-use codes.
"""

from dataclasses import dataclass

ENGLISH = "en"


@dataclass(frozen=True)
class Language:
    """Parameters of one language. Shares are in [0, 1]; `""` means that the language lacks the feature.

    `order` is that of subject, verb and object. `adposition` is `pre`, `post` or `suffix` (on the noun).
    `case` says how objects are marked, `negation` how verbs are negated (`auxiliary` as in English,
    a free `particle`, or an affix), `inflection` whether verbs have an affix.
    `cognates` is the share of content words whose form derives from English by sound changes, and
    `identical` the share of those that have not changed at all. `text_share` scales the amount of
    pretraining text.
    """

    code: str
    order: str
    adjective: str
    adposition: str
    case: str
    negation: str
    inflection: str
    article: bool
    question_first: bool
    script: str
    spaces: bool
    cognates: float
    identical: float
    text_share: float
    note: str

    @property
    def latin(self) -> bool:
        """Whether names keep their written form."""
        return self.script == "latin"


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language(
            "en",
            "SVO",
            "before",
            "pre",
            "",
            "auxiliary",
            "suffix",
            True,
            True,
            "latin",
            True,
            1.0,
            1.0,
            1.0,
            "controlled English",
        ),
        Language(
            "qaa",
            "SVO",
            "before",
            "pre",
            "",
            "auxiliary",
            "suffix",
            True,
            True,
            "latin",
            True,
            0.5,
            0.1,
            1.0,
            "closest to English",
        ),
        Language(
            "qab",
            "SVO",
            "after",
            "pre",
            "",
            "particle",
            "",
            True,
            True,
            "latin",
            True,
            0.35,
            0.1,
            1.0,
            "light morphology",
        ),
        Language(
            "qac",
            "SVO",
            "before",
            "pre",
            "suffix",
            "particle",
            "suffix",
            False,
            True,
            "cyrillic",
            True,
            0.1,
            0.0,
            1.0,
            "case suffixes",
        ),
        Language(
            "qad",
            "SOV",
            "before",
            "suffix",
            "suffix",
            "suffix",
            "suffix",
            False,
            False,
            "latin",
            True,
            0.05,
            0.0,
            1.0,
            "agglutinating suffixes",
        ),
        Language(
            "qae",
            "SOV",
            "before",
            "post",
            "suffix",
            "particle",
            "suffix",
            False,
            False,
            "devanagari",
            True,
            0.05,
            0.0,
            1.0,
            "postpositions",
        ),
        Language(
            "qaf",
            "VSO",
            "after",
            "pre",
            "prefix",
            "prefix",
            "prefix",
            False,
            True,
            "georgian",
            True,
            0.05,
            0.0,
            1.0,
            "prefixes",
        ),
        Language(
            "qag",
            "SOV",
            "before",
            "post",
            "",
            "particle",
            "",
            False,
            False,
            "han",
            False,
            0.0,
            0.0,
            1.0,
            "isolating, written without spaces",
        ),
        Language(
            "qah",
            "SVO",
            "before",
            "pre",
            "",
            "particle",
            "",
            False,
            True,
            "latin",
            True,
            0.05,
            0.0,
            0.4,
            "isolating, little text",
        ),
    )
}

_CHOICES = {
    "order": ("SVO", "SOV", "VSO"),
    "adjective": ("before", "after"),
    "adposition": ("pre", "post", "suffix"),
    "case": ("", "suffix", "prefix"),
    "negation": ("auxiliary", "particle", "suffix", "prefix"),
    "inflection": ("", "suffix", "prefix"),
    "script": ("latin", "cyrillic", "devanagari", "georgian", "han"),
}
_FLAGS = ("article", "question_first", "spaces")


def features(code: str) -> dict[str, float]:
    """Typology of a language as named numbers in [0, 1]: one-hot choices, flags, share of cognates."""
    language = LANGUAGES[code]
    values = {
        f"{name}={option or 'none'}": float(getattr(language, name) == option)
        for name, options in _CHOICES.items()
        for option in options
    }
    values.update({name: float(getattr(language, name)) for name in _FLAGS})
    values["cognates"] = language.cognates
    return values


def distance(code: str, other: str = ENGLISH) -> float:
    """Mean absolute difference of two languages' parameters, in [0, 1].

    Every parameter has the same weight, whatever its number of options; script and cognates are parameters too.
    """
    first, second = LANGUAGES[code], LANGUAGES[other]
    names = (*_CHOICES, *_FLAGS)
    differences = [float(getattr(first, name) != getattr(second, name)) for name in names]
    differences.append(abs(first.cognates - second.cognates))
    return sum(differences) / len(differences)


def world_languages(world: dict[str, object] | None = None) -> tuple[str, ...]:
    """Language codes of a world, English first. Called while the workflow is parsed."""
    chosen = (world or {}).get("languages")
    if chosen is None:
        return tuple(LANGUAGES)
    if not isinstance(chosen, (list, tuple)):
        raise TypeError(f"world.languages: a list of codes was expected, found {chosen!r}")
    return tuple(code for code in LANGUAGES if code in chosen)
