"""Answer normalisation of the MLQA evaluation script: Unicode punctuation, and the articles of each language."""

import re
import string
import unicodedata

LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")

_ARTICLES = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "ar": re.compile(r"\sال^|ال"),
}
_HAN = re.compile("([\u4e00-\u9fa5])")


class _Punctuation(dict[int, int | None]):
    """A table for `str.translate` that deletes punctuation (Unicode P* and ASCII).

    Filled on demand: a table of all of Unicode takes longer to build than a small cell to score.
    """

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        dropped = character in string.punctuation or unicodedata.category(character)[0] == "P"
        return self.setdefault(code, None if dropped else code)


_PUNCTUATION = _Punctuation()


def normalise(answer: str, language: str) -> str:
    """Lower case, no punctuation (Unicode P* and ASCII), no articles, single blanks; Chinese split into characters.

    The script refuses languages outside LANGUAGES. Here they are treated like Hindi (no articles), so that synthetic
    and added languages can be scored; their scores have no published counterpart.
    """
    text = answer.lower().translate(_PUNCTUATION)
    if language in _ARTICLES:
        text = _ARTICLES[language].sub(" ", text)
    if language == "zh":
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())
