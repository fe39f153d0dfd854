"""MLQA's normalisation, language by language."""

import functools
import string
import sys
import unicodedata

import pytest
from stiltgrid.tasks.metrics import mlqa, squad


@pytest.mark.parametrize(
    ("language", "answer", "normal"),
    [
        ("en", "The “old” lighthouse…", "old lighthouse"),
        ("de", "Der Hafen – eines der Boote", "hafen boote"),
        ("de", "the Hafen", "the hafen"),  # English articles stay in German
        ("es", "¿La lámpara de los faros?", "lámpara de faros"),
        ("vi", "ngọn đèn của những thuyền", "ngọn đèn thuyền"),
        ("ar", "المنارة القديمة،", "منارة قديمة"),
        ("hi", "पुराना दीपस्तंभ।", "पुराना दीपस्तंभ"),
        ("zh", "《老灯塔》建于1874年", "老 灯 塔 建 于 1874 年"),
        ("qaa", "The Old — lamp", "the old lamp"),  # outside MLQA: punctuation only
    ],
)
def test_normalise(language, answer, normal):
    assert mlqa.normalise(answer, language) == normal


def test_chinese_f1_counts_characters():
    normalised = functools.partial(mlqa.normalise, language="zh")
    # 5 gold characters, 3 predicted, 3 in common; the full stop does not count
    assert squad.score_answer(["老灯塔港口"], "老灯塔。", normalised) == (pytest.approx(6 / 8), 0)
    assert squad.score_answer(["老灯塔"], "老灯塔。", normalised) == (1, 1)


def test_all_of_unicode_is_punctuation_or_not_as_the_script_says():
    script = {chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P")}
    script |= set(string.punctuation)
    for start in range(0, sys.maxunicode, 4096):
        text = "".join(map(chr, range(start, min(start + 4096, sys.maxunicode))))
        assert text.translate(mlqa._PUNCTUATION) == "".join(letter for letter in text if letter not in script)
