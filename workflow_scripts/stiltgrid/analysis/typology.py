"""How similar a language is to English in its morphology and in its syntax: Grambank, URIEL, or the mini-lab's design.

Morphology of real languages is read from `grambank.csv`: the features of bound marking that make Grambank's fusion
score (Skirgård et al. 2023, Shcherbakova et al. 2023), observed values only. Similarity is Gower's: the weighted share
of features, observed in both languages, in which they agree. `fusion` is the amount of bound marking of a language.
Syntax is read from `uriel.csv` (URIEL's features less those that name marking on words). Languages of the mini-lab are
described by the parameters that they are made with. A language's typology does not depend on the script of its code.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stiltgrid.data.sources.minilab.languages import LANGUAGES, features

TABLE = Path(__file__).parent / "uriel.csv"
GRAMBANK = Path(__file__).parent / "grambank.csv"
WEIGHT = "weight"
ENGLISH = "en"
MORPHOLOGY, TYPOLOGY = "morphology", "typology"
KINDS = (MORPHOLOGY, TYPOLOGY)
# Of a language's features, observed: to be compared at all, and to count as well observed (Grambank's own cut-off).
LEAST_OBSERVED, WELL_OBSERVED = 0.5, 0.75
# Near is at least this similar to English, whatever languages a grid has: the median of XTREME-R's in Grambank.
NEAR_FROM: Mapping[str, float] = {MORPHOLOGY: 0.7, TYPOLOGY: 0.7}
NEAR_FROM_PLANTED = 0.5
MARKING = re.compile(r"PREFIX|SUFFIX|AFFIX|CLITIC|MARK|REDUP|AGREEMENT|NEGATIVE_AFFIX|POLARQ|NUMCLASS|TEND")
# Parameters of the mini-lab's languages; of negation only whether it is an affix is morphology (English has a word).
PLANTED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    MORPHOLOGY: (("case",), ("inflection",), ("negation=suffix", "negation=prefix")),
    TYPOLOGY: (("order",), ("adjective",), ("adposition",), ("article",), ("question_first",)),
}
NEAR, FAR = "near", "far"


@dataclass(frozen=True)
class Morphology:
    """Bound marking of a language: feature -> 0 or 1, as far as observed, of `total` features."""

    glottocode: str
    values: Mapping[str, int]
    total: int

    @property
    def observed(self) -> float:
        """Share of the features with an observed value, in [0, 1]."""
        return len(self.values) / self.total


def similarity(code: str, kind: str) -> float | None:
    """Similarity of a language to English, in [0, 1]; None for a language without enough observed features."""
    if code in LANGUAGES and code != ENGLISH:
        return _planted_similarity(code, kind)
    if kind == MORPHOLOGY:
        return _gower(code)
    table, code = uriel(), _without_script(code)
    if code not in table:
        return None
    names = [name for name in table[ENGLISH] if not MARKING.search(name)]
    return sum(table[code][name] == table[ENGLISH][name] for name in names) / len(names)


def fusion(code: str) -> float | None:
    """Mean of a language's features of bound marking, weighted as in Grambank, in [0, 1]; None below half observed.

    Free marking does not count against it ("count_one_and_half" of the published score). The two agreement
    features of a word class are joined here, so values differ from the published ones in the second decimal.
    """
    known = morphologies().get(_without_script(code))
    if known is None or known.observed < LEAST_OBSERVED:
        return None
    weights = feature_weights()
    return sum(weights[name] * value for name, value in known.values.items()) / len(known.values)


def observed(code: str) -> float:
    """Share of the features of bound marking that are observed; 1 for the mini-lab, 0 for an unknown language."""
    if code in LANGUAGES and code != ENGLISH:
        return 1.0
    known = morphologies().get(_without_script(code))
    return known.observed if known else 0.0


def similarity_groups(codes: Iterable[str], kind: str) -> dict[str, str]:
    """Language -> `near` or `far` from English by the fixed threshold; English and unknown languages are left out."""
    known = {code: value for code in codes if code != ENGLISH and (value := similarity(code, kind)) is not None}
    return {
        code: NEAR if value >= (NEAR_FROM_PLANTED if code in LANGUAGES else NEAR_FROM[kind]) else FAR
        for code, value in known.items()
    }


@cache
def uriel() -> Mapping[str, Mapping[str, int]]:
    """Language -> feature -> 0 or 1, of URIEL's table."""
    rows = _rows(TABLE)
    names = [name for name in rows[0] if name not in ("code", "iso639_3", "observed")]
    return {row["code"]: {name: int(row[name]) for name in names} for row in rows}


@cache
def morphologies() -> Mapping[str, Morphology]:
    """Language -> its features of bound marking, of Grambank's table."""
    names = list(feature_weights())
    return {
        row["code"]: Morphology(row["glottocode"], {name: int(row[name]) for name in names if row[name]}, len(names))
        for row in _rows(GRAMBANK)
        if row["code"] != WEIGHT
    }


@cache
def feature_weights() -> Mapping[str, float]:
    """Feature -> its weight in the fusion score: 1 for bound marking, 0.5 where it may be bound."""
    line = next(row for row in _rows(GRAMBANK) if row["code"] == WEIGHT)
    return {name: float(value) for name, value in line.items() if name not in ("code", "glottocode")}


def _without_script(code: str) -> str:
    """The language of a code such as zh-Hant."""
    return code.partition("-")[0]


def _gower(code: str) -> float | None:
    known, english = morphologies().get(_without_script(code)), morphologies()[ENGLISH].values
    if known is None or known.observed < LEAST_OBSERVED:
        return None
    weights = feature_weights()
    both = [name for name in known.values if name in english]
    agree = sum(weights[name] for name in both if known.values[name] == english[name])
    return agree / sum(weights[name] for name in both)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _planted_similarity(code: str, kind: str) -> float:
    own, english = features(code), features(ENGLISH)
    agree = [
        all(own[name] == english[name] for name in own if name in parts or name.partition("=")[0] in parts)
        for parts in PLANTED[kind]
    ]
    return sum(agree) / len(agree)
