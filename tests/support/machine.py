"""What a test does where the machine is too slow for it: skip; in CI, where nobody reads about skips, fail."""

import os
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
PATIENCE = 5 if IN_CI else 1  # how many times as long a test waits in CI before it fails


def too_slow(reason: str) -> NoReturn:
    """Fail in CI, skip elsewhere."""
    if IN_CI:
        pytest.fail(f"in CI this test must run: {reason}")
    pytest.skip(reason)
