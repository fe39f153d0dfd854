"""No test reaches the network: HF_ENDPOINT is a stand-in hub on loopback, its cache a folder of this run.

The client libraries read these variables when they are imported, so they are set before any test module is.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

for _folder in ("support", "workflow", "faults"):
    sys.path.insert(0, str(Path(__file__).parent / _folder))

from machine import too_slow  # noqa: E402
from small_grid import BUSY, LONGEST, Undisturbed, run_undisturbed  # noqa: E402
from stand_in_hub import StandInHub  # noqa: E402

_HUB = StandInHub().start()
_HOME = tempfile.mkdtemp(prefix="stiltgrid-hub-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    {
        "HF_ENDPOINT": _HUB.url,
        "HF_HOME": _HOME,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }
)
for _name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_DATASETS_CACHE", "HF_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
    os.environ.pop(_name, None)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test changes in the environment, directly or through what it calls, is undone after it."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def hub() -> Iterator[StandInHub]:
    """The stand-in hub, empty, and nothing in the client's cache."""
    _HUB.reset()
    shutil.rmtree(Path(_HOME) / "hub", ignore_errors=True)
    yield _HUB
    _HUB.reset()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The small grid as it comes out when nothing happens to it: what harmed runs and other machines must equal.

    Where it takes long, harming it would take many minutes, and a hang could not be distinguished from a slow machine:
    the tests that need it skip, and fail in CI.
    """
    try:
        found = run_undisturbed(tmp_path_factory.mktemp("undisturbed") / "grid")
    except subprocess.TimeoutExpired:
        too_slow(f"needs a machine with less to do: a small grid was not there after {LONGEST} s")
    if found.seconds > BUSY:
        too_slow(f"needs a machine with less to do: a small grid took {found.seconds:.0f} s, more than {BUSY}")
    return found
