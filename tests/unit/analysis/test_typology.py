"""Similarity to English: the tables hold what their sources say, the mini-lab what was planted, groups are fixed."""

import pytest
from stiltgrid.analysis.language_groups import known_languages
from stiltgrid.analysis.typology import (
    KINDS,
    LEAST_OBSERVED,
    MORPHOLOGY,
    NEAR_FROM,
    TYPOLOGY,
    feature_weights,
    fusion,
    morphologies,
    observed,
    similarity,
    similarity_groups,
    uriel,
)
from stiltgrid.data.sources.minilab.languages import LANGUAGES

REAL = [code for code in known_languages() if (code not in LANGUAGES or code == "en") and "-" not in code]
KIN = {code for code, language in known_languages().items() if language.branch == "Germanic"} | {"pcm"}
ISOLATING = ("vi", "zh", "th", "ht")
ANALYTIC = ("en", "nl", "id")  # little inflection, some affixes
SYNTHETIC = ("tr", "hu", "qu", "sw", "ka", "pl", "ru", "lt", "el")  # agglutinative and fusional


def test_every_real_language_of_the_catalogue_has_all_features_of_uriel() -> None:
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
def test_features_of_uriel_agree_with_grammars(code: str, feature: str, value: int) -> None:
    assert uriel()[code][feature] == value


@pytest.mark.parametrize(
    ("code", "feature", "value"),
    [
        ("en", "GB044", 1),  # plural suffix
        ("zh", "GB044", 0),
        ("en", "GB070", 0),  # case on nouns for core arguments
        ("fi", "GB070", 1),
        ("en", "GB089", 1),  # subject suffix: -s
        ("sw", "GB090", 1),  # subject prefix
        ("tr", "GB107", 1),  # negation affix
        ("tr", "GB170+GB184", 0),  # adjectives agree
        ("ru", "GB170+GB184", 1),
        ("ja", "GB155", 1),  # causative affix
    ],
)
def test_features_of_grambank_agree_with_grammars(code: str, feature: str, value: int) -> None:
    assert morphologies()[code].values[feature] == value


def test_isolating_languages_have_less_bound_marking_than_analytic_and_these_than_synthetic_ones() -> None:
    scores = {code: fusion(code) or 0.0 for code in (*ISOLATING, *ANALYTIC, *SYNTHETIC)}
    assert max(scores[code] for code in ISOLATING) < min(scores[code] for code in ANALYTIC)
    assert max(scores[code] for code in ANALYTIC) < min(scores[code] for code in SYNTHETIC)


def test_features_of_bound_marking_are_weighted_as_in_grambank() -> None:
    weights = feature_weights()
    assert len(weights) == 58 and set(weights.values()) == {0.5, 1.0}
    assert {name for name, weight in weights.items() if weight == 0.5} == {
        "GB047", "GB048", "GB049", "GB071", "GB073", "GB146",
    }  # fmt: skip
    absent = ("GB057", "GB262", "GB263", "GB264")  # numeral classifiers and question particles are not morphology
    assert not set(absent) & set(weights)


def test_languages_without_observed_values_have_no_morphological_similarity() -> None:
    assert similarity("de", MORPHOLOGY) is None and observed("de") == 0 and fusion("de") is None
    assert similarity("zz", MORPHOLOGY) is None and similarity("zz", TYPOLOGY) is None
    known = [code for code in REAL if similarity(code, MORPHOLOGY) is not None]
    assert len(known) == 131 and all(observed(code) >= LEAST_OBSERVED for code in known)


def test_similarity_orders_languages_as_expected() -> None:
    for kind in KINDS:
        values = {code: value for code in REAL if (value := similarity(code, kind)) is not None}
        assert values["en"] == 1 and all(0 <= value <= 1 for value in values.values())
        assert values["nl"] == max(value for code, value in values.items() if code not in KIN or code == "nl")
        assert values["nl"] > values["fi"] > values["sw"]


def test_a_language_has_one_typology_in_all_of_its_scripts() -> None:
    for kind in KINDS:
        assert similarity("zh-Hant", kind) == similarity("zh", kind)
        assert similarity("ar-Latn", kind) == similarity("ar", kind) != similarity("zh", kind)
    assert fusion("zh-Hant") == fusion("zh") and observed("ar-Latn") == observed("ar")


def test_the_mini_lab_is_as_planted() -> None:
    assert similarity("qaa", MORPHOLOGY) == similarity("qaa", TYPOLOGY) == 1
    assert similarity("qaf", MORPHOLOGY) == 0  # marks case, negation and verbs by prefixes
    assert similarity("qah", TYPOLOGY) == pytest.approx(4 / 5)  # no article
    assert similarity("qad", TYPOLOGY) == pytest.approx(1 / 5)


def test_groups_are_by_a_threshold_that_does_not_depend_on_the_languages_compared() -> None:
    codes = [code for code in LANGUAGES if code != "en"]
    groups = similarity_groups([*codes, "en", "zz"], TYPOLOGY)
    assert {code for code in groups if groups[code] == "near"} == {"qaa", "qab", "qac", "qah"}
    assert set(groups) == set(codes)
    assert similarity_groups(["qaa"], TYPOLOGY) == {"qaa": "near"}
    sides = similarity_groups(REAL, MORPHOLOGY)
    assert all(
        (side == "near") == (similarity(code, MORPHOLOGY) >= NEAR_FROM[MORPHOLOGY]) for code, side in sides.items()
    )
    assert {similarity_groups([code], MORPHOLOGY)[code] for code in ("nl", "fi")} == {"near"}
    assert {similarity_groups([code], MORPHOLOGY)[code] for code in ("sw", "ar", "zh")} == {"far"}
