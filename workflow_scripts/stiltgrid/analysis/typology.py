"""How like English a language is in its morphology and in the rest of its typology: URIEL's, or the mini-lab's plan.

Real languages stand in `uriel.csv`; the mini-lab's are what their parameters say. Similarities are the share of
features in which a language and English agree. They are no distances that URIEL publishes.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from stiltgrid.data.sources.minilab.languages import LANGUAGES, features

TABLE = Path(__file__).parent / "uriel.csv"
ENGLISH = "en"
MORPHOLOGY, TYPOLOGY = "morphology", "typology"
KINDS = (MORPHOLOGY, TYPOLOGY)
# URIEL files morphology under syntax: what is marked on words, by affixes, clitics, agreement or reduplication.
MORPHOLOGICAL = re.compile(r"PREFIX|SUFFIX|AFFIX|CLITIC|MARK|REDUP|AGREEMENT")
# Parameters of the mini-lab's languages; of negation only whether it is an affix is morphology (English has a word).
PLANTED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    MORPHOLOGY: (("case",), ("inflection",), ("negation=suffix", "negation=prefix")),
    TYPOLOGY: (("order",), ("adjective",), ("adposition",), ("article",), ("question_first",)),
}
NEAR, FAR = "near", "far"


def similarity(code: str, kind: str) -> float | None:
    """Share of features of a kind in which a language agrees with English, in [0, 1]; None for an unknown language."""
    if code in LANGUAGES and code != ENGLISH:
        return _planted_similarity(code, kind)
    table = uriel()
    if code not in table:
        return None
    names = [name for name in table[ENGLISH] if bool(MORPHOLOGICAL.search(name)) == (kind == MORPHOLOGY)]
    return sum(table[code][name] == table[ENGLISH][name] for name in names) / len(names)


def similarity_groups(codes: Iterable[str], kind: str) -> dict[str, str]:
    """Language -> `near` or `far`: the halves by similarity to English; equals stay together, as evenly as they let.

    English and languages without features are left out; so is everything where all are equally similar.
    """
    known = {code: value for code in codes if code != ENGLISH and (value := similarity(code, kind)) is not None}
    values = sorted(known.values())
    limits = sorted(set(values))[1:]
    if not limits:
        return {}
    limit = min(limits, key=lambda limit: abs(2 * sum(value >= limit for value in values) - len(values)))
    return {code: NEAR if value >= limit else FAR for code, value in known.items()}


@cache
def uriel() -> Mapping[str, Mapping[str, int]]:
    """Language -> feature -> 0 or 1, of the vendored table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    names = [name for name in rows[0] if name not in ("code", "iso639_3", "observed")]
    return {row["code"]: {name: int(row[name]) for name in names} for row in rows}


def _planted_similarity(code: str, kind: str) -> float:
    own, english = features(code), features(ENGLISH)
    agree = [
        all(own[name] == english[name] for name in own if name in parts or name.partition("=")[0] in parts)
        for parts in PLANTED[kind]
    ]
    return sum(agree) / len(agree)
