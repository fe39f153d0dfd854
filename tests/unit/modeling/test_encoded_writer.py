"""Encoded data written in batches is, byte for byte, what is written at once."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stiltgrid.modeling.encoded import read_encoded, to_table, write_encoded
from stiltgrid.modeling.encoded_writer import EncodedWriter

METADATA = {b"labels": b'["N", "V"]'}
SEQUENCES = st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6), min_size=1, max_size=12)


def columns(sequences: list[list[int]], first: int) -> dict[str, list]:
    return {
        "input_ids": sequences,
        "example": list(range(first, first + len(sequences))),
        "tag": [[-100] * len(ids) for ids in sequences],
    }


@settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(SEQUENCES, min_size=1, max_size=5))
def test_batches_make_no_difference(tmp_path: Path, batches: list[list[list[int]]]) -> None:
    tables, first = [], 0
    for sequences in batches:
        tables.append(to_table(columns(sequences, first)))
        first += len(sequences)
    with EncodedWriter(tmp_path) as writer:
        for table in tables:
            writer.add(table)
        writer.write(tmp_path / "batches.arrow", METADATA)
        assert (writer.num_rows, writer.tokens()) == (first, sum(len(ids) for each in batches for ids in each))
    write_encoded(pa.concat_tables(tables).replace_schema_metadata(METADATA), tmp_path / "once.arrow")
    assert (tmp_path / "batches.arrow").read_bytes() == (tmp_path / "once.arrow").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batches.arrow", "once.arrow"]
    assert np.array_equal(read_encoded(tmp_path / "batches.arrow").examples, np.arange(first))


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_no_sequence_at_all_is_an_empty_file(tmp_path: Path, batches: int) -> None:
    empty = to_table({"input_ids": [], "example": [], "label": []})
    with EncodedWriter(tmp_path) as writer:
        for _ in range(max(1, batches)):
            writer.add(empty)
        writer.write(tmp_path / "batches.arrow", METADATA)
    write_encoded(empty.replace_schema_metadata(METADATA), tmp_path / "once.arrow")
    assert (tmp_path / "batches.arrow").read_bytes() == (tmp_path / "once.arrow").read_bytes()


def test_a_first_batch_without_sequences_does_not_decide_what_a_column_is(tmp_path: Path) -> None:
    with EncodedWriter(tmp_path) as writer:
        writer.add(to_table({"input_ids": [], "example": [], "tag": []}))
        writer.add(to_table(columns([[1, 2]], 0)))
        writer.write(tmp_path / "batches.arrow", None)
    write_encoded(columns([[1, 2]], 0), tmp_path / "once.arrow")
    assert (tmp_path / "batches.arrow").read_bytes() == (tmp_path / "once.arrow").read_bytes()


def test_memory_does_not_grow_with_the_tokens(tmp_path: Path) -> None:
    """A process of its own: 160 MB of token ids in less than 60 MB above what it takes to start."""
    import subprocess
    import sys

    program = f"""
import resource, sys
import numpy as np, pyarrow as pa
from stiltgrid.modeling.encoded_writer import EncodedWriter
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start = peak()
with EncodedWriter({str(tmp_path)!r}) as writer:
    for number in range(100):
        offsets = np.arange(0, 400_001, 40, dtype=np.int64)
        ids = pa.LargeListArray.from_arrays(offsets, np.arange(400_000, dtype=np.int32))
        example = np.arange(10_000, dtype=np.int32) + 10_000 * number
        writer.add(pa.table({{"input_ids": ids, "example": example}}))
    writer.write({str(tmp_path / "out.arrow")!r}, None)
print(peak() - start)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                         env={"PYTHONPATH": str(Path(__file__).parents[3] / "workflow_scripts")})  # fmt: skip
    assert (tmp_path / "out.arrow").stat().st_size > 160e6
    assert float(ran.stdout) < 60
    encoded = read_encoded(tmp_path / "out.arrow")
    assert len(encoded) == 1_000_000 and encoded.tokens["input_ids"][-1] == 399_999
