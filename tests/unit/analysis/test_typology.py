"""Similarity to English: the vendored table is URIEL's, the mini-lab's is what was planted, halves are halves."""

import pytest
from stiltgrid.analysis.language_groups import known_languages
from stiltgrid.analysis.typology import KINDS, MORPHOLOGY, TYPOLOGY, similarity, similarity_groups, uriel
from stiltgrid.data.sources.minilab.languages import LANGUAGES

REAL = [code for code in known_languages() if code not in LANGUAGES or code == "en"]


def test_every_real_language_of_the_catalogue_has_all_features() -> None:
    table = uriel()
    assert sorted(table) == sorted(REAL)
    assert {len(features) for features in table.values()} == {103}
    assert {value for features in table.values() for value in features.values()} == {0, 1}


@pytest.mark.parametrize(
    ("code", "feature", "value"),
    [
        ("en", "SVO", 1), ("ja", "SOV", 1), ("ja", "SVO", 0), ("ar", "VSO", 1), ("de", "GENDER_MARK", 1),
        ("tr", "ADPOSITION_AFTER_NOUN", 1), ("es", "ADPOSITION_BEFORE_NOUN", 1), ("sw", "TEND_PREFIX", 1),
        ("fi", "CASE_SUFFIX", 1), ("fr", "ADJECTIVE_AFTER_NOUN", 1),
    ],
)  # fmt: skip
def test_features_that_a_grammar_tells(code: str, feature: str, value: int) -> None:
    assert uriel()[code][feature] == value


def test_similarity_orders_languages_as_one_would() -> None:
    for kind in KINDS:
        values = {code: similarity(code, kind) for code in REAL}
        assert values["en"] == 1 and all(value is not None and 0 <= value <= 1 for value in values.values())
        assert values["de"] > values["fi"] > values["tr"]  # type: ignore[operator]
    assert similarity("zz", MORPHOLOGY) is None


def test_the_mini_lab_says_what_was_planted() -> None:
    assert similarity("qaa", MORPHOLOGY) == similarity("qaa", TYPOLOGY) == 1
    assert similarity("qaf", MORPHOLOGY) == 0  # marks case, negation and verbs by prefixes
    assert similarity("qah", TYPOLOGY) == pytest.approx(4 / 5)  # no article
    assert similarity("qad", TYPOLOGY) == pytest.approx(1 / 5)


def test_groups_are_halves_and_keep_equals_together() -> None:
    codes = [code for code in LANGUAGES if code != "en"]
    groups = similarity_groups([*codes, "en", "zz"], TYPOLOGY)
    assert {code for code in groups if groups[code] == "near"} == {"qaa", "qab", "qac", "qah"}
    assert set(groups) == set(codes)
    assert similarity_groups(["qaa"], TYPOLOGY) == {} == similarity_groups(["qad", "qae", "qag"], TYPOLOGY)
    sides = list(similarity_groups(REAL, MORPHOLOGY).values())
    assert abs(sides.count("near") - sides.count("far")) <= 8
