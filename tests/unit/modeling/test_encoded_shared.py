"""Encoded features are read from the mapped file: jobs that run side by side share one copy of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from stiltgrid.modeling import encoded
from stiltgrid.modeling.encoded import read_encoded, write_encoded

SMAPS = Path("/proc/self/smaps")
TOKENS, LENGTH = 4_000_000, 100
pytestmark = pytest.mark.skipif(not SMAPS.exists(), reason="mappings are read from /proc")
JOB = """
import json, sys
sys.path.insert(0, {scripts!r})
from stiltgrid.modeling.encoded import read_encoded

def kilobytes(path, name, select=lambda line: True):
    wanted, total = False, 0
    for line in open(path):
        head, *rest = line.split()
        if "-" in head:
            wanted = select(line)
        elif wanted and head == name + ":":
            total += int(rest[0])
    return total

def own():
    return kilobytes("/proc/self/smaps", "Anonymous")

read_encoded({small!r})  # libraries that a first read loads
before = own()
data = read_encoded({file!r})
total = int(data.tokens["input_ids"].sum()) + int(data.scalars["label"].sum()) + len(data)
print(total, flush=True)
sys.stdin.readline()
ours = lambda line: line.rstrip().endswith({file!r})
names = ("Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Private_Dirty")
found = {{name: kilobytes("/proc/self/smaps", name, ours) for name in names}}
print(json.dumps({{**found, "own": own() - before}}), flush=True)
sys.stdin.readline()
"""


@pytest.fixture()
def features(tmp_path: Path) -> Path:
    """40,000 sequences of 100 tokens: 32 MB of tokens in two columns, 0.5 MB of all else."""
    ids = pa.array(np.arange(TOKENS, dtype=np.int32))
    starts = pa.array(np.arange(0, TOKENS + 1, LENGTH, dtype=np.int64))
    lists = pa.LargeListArray.from_arrays(starts, ids)
    numbers = pa.array(np.arange(TOKENS // LENGTH, dtype=np.int32))
    write_encoded(
        pa.table({"input_ids": lists, "tag": lists, "example": numbers, "label": numbers}), tmp_path / "a.arrow"
    )
    return tmp_path / "a.arrow"


def mapped_from(array: np.ndarray) -> str:
    """The file that an array's memory is mapped from; empty for memory of the process's own."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        if first <= address < last:
            return line.split(maxsplit=5)[5] if len(line.split(maxsplit=5)) > 5 else ""
    return ""


def test_every_column_is_a_view_of_the_mapped_file(features: Path) -> None:
    data = read_encoded(features)
    columns = {**data.tokens, **data.scalars}
    assert columns.keys() == {"input_ids", "tag", "example", "label"}
    assert {mapped_from(column) for column in columns.values()} == {str(features)}
    assert mapped_from(data.tokens["tag"].copy()) != str(features), "the check sees a copy"


def test_jobs_side_by_side_hold_one_copy_of_the_features(features: Path) -> None:
    small = features.with_name("small.arrow")
    write_encoded({"input_ids": [[1]], "example": [0]}, small)
    code = JOB.format(scripts=str(Path(encoded.__file__).parents[2]), file=str(features), small=str(small))
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    jobs = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(2)]
    assert len({job.stdout.readline() for job in jobs}) == 1, "both have read it all"  # type: ignore[union-attr]
    size = TOKENS * 4 // 1024
    told = []
    for job in jobs:
        job.stdin.write("\n")  # type: ignore[union-attr]
        job.stdin.flush()  # type: ignore[union-attr]
        told.append(json.loads(job.stdout.readline()))  # type: ignore[union-attr]
    for job in jobs:
        job.communicate("\n")
    for found in told:
        assert found["Rss"] >= size and found["Private_Dirty"] == 0
        # Pages of a file just written count as dirty until the system has them on disk.
        assert found["Shared_Clean"] + found["Shared_Dirty"] >= 0.9 * size, "the pages are in common"
        assert found["Pss"] <= 0.6 * found["Rss"]
        assert found["own"] < size / 2, "no column was copied"
