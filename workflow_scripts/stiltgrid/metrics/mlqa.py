"""Answer normalisation of the MLQA evaluation script: punctuation of all scripts, each language's articles."""

import functools
import re
import string
import sys
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


@functools.cache
def _punctuation() -> dict[int, None]:
    unicode_punctuation = (code for code in range(sys.maxunicode) if unicodedata.category(chr(code))[0] == "P")
    return dict.fromkeys([*unicode_punctuation, *map(ord, string.punctuation)])


def normalise(answer: str, language: str) -> str:
    """Lower case, no punctuation (Unicode P* and ASCII), no articles, single blanks; Chinese characters apart.

    The script refuses languages outside LANGUAGES; here they are treated like Hindi (no articles), so that
    a synthetic or added language can be scored. Its scores have no published counterpart.
    """
    text = answer.lower().translate(_punctuation())
    if language in _ARTICLES:
        text = _ARTICLES[language].sub(" ", text)
    if language == "zh":
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())
