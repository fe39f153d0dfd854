"""Every malformed input is refused with a sentence: no traceback, no hang, no silent acceptance."""

import sys

import pytest
from malformed import REFUSED, Case, all_cases, answer, preload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="each input runs in a forked process")
CASES = all_cases()


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    preload()


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.kind}: {case.name}") for case in CASES])
def test_it_is_refused_with_a_sentence(case: Case) -> None:
    found = answer(case)
    assert found.what == REFUSED, f"expected '{case.expected}', {found.what}: {found.said}"


def test_inputs_have_names_of_their_own() -> None:
    names = [(case.kind, case.name) for case in CASES]
    assert len(names) == len(set(names))
