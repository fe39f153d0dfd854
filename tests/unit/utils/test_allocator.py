import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stiltgrid.utils import allocator
from stiltgrid.utils.allocator import VARIABLES, keep_freed_memory

REUSE = """
import resource, sys
import numpy as np
from stiltgrid.utils.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for turn in range(10):
    np.ones(8_000_000)  # 64 MB, freed at once
    if turn == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(side):
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment["PYTHONPATH"] = str(Path(allocator.__file__).parents[2])
    command = [sys.executable, "-c", REUSE, side]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(found.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="the C library is not glibc")
def test_freed_blocks_are_used_again_without_new_pages():
    assert page_faults("kept") * 4 < page_faults("plain")


@pytest.mark.parametrize("name", VARIABLES)
def test_a_users_own_setting_is_left_alone(name, monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("the C library was called"))
    assert not keep_freed_memory({name: "1"})


def test_other_c_libraries_are_left_alone(monkeypatch):
    class Other:
        def mallopt(self, *values):
            pytest.fail("the setting was changed")

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Other())
    assert not keep_freed_memory({})
