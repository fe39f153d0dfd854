"""Checksums inside our own files: damage to any byte is found and named; the content is otherwise unchanged."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from stiltgrid.modeling.encoded import read_encoded, write_encoded
from stiltgrid.utils.checksums import KEY, digest, seal_weights, verify_weights, weights_header
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.parquet import count_rows, read_batches, read_frame, read_parquet, read_schema, write_parquet

TENSORS = {
    "layer.weight": torch.arange(600, dtype=torch.float32).reshape(20, 30),
    "layer.bias": torch.ones(30, dtype=torch.bfloat16),
    "empty": torch.zeros(0),
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path, {"format": "pt"})
    seal_weights(path)
    return path


def flip(path: Path, start: int, count: int) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + count] = bytes(byte ^ 0xFF for byte in content[start : start + count])
    path.write_bytes(content)


def test_the_digest_is_xxh3_of_the_concatenation() -> None:
    # XXH3-64 of "abc" and of nothing, by the reference implementation (xxhsum -H3)
    assert digest([b"a", b"bc"]) == digest([np.frombuffer(b"abc", np.uint8)]) == "78af5f94892f3950"
    assert digest([]) == "2d06800538d394c2"


def test_sealed_weights_are_the_same_weights(weights: Path) -> None:
    loaded = load_file(weights)
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], value) for name, value in TENSORS.items())
    with safe_open(weights, "pt") as file:
        assert file.metadata()["format"] == "pt" and len(file.metadata()[KEY]) == 16
    before = weights.read_bytes()
    seal_weights(weights)
    verify_weights(weights)
    assert weights.read_bytes() == before


@settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_damaged_byte_of_weights_goes_unseen(weights: Path, data: st.DataObject) -> None:
    content = weights.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    mask = data.draw(st.integers(1, 255))
    damaged = content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
    weights.write_bytes(damaged)
    try:
        verify_weights(weights)
    except SourceError as error:
        assert str(error).startswith(f"{weights}: safetensors file truncated or damaged (")
    else:  # only the words beside the tensors' list can change without changing a tensor
        header = weights_header(weights)
        assert {name: entry for name, entry in header.items() if name != "__metadata__"} == {
            name: entry for name, entry in _header(content).items() if name != "__metadata__"
        }
        assert damaged[-2000:] == content[-2000:]
    finally:
        weights.write_bytes(content)


def _header(content: bytes) -> dict:
    import json

    return dict(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]))


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_truncated_weights_are_named(weights: Path, length: int) -> None:
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(
        SourceError, match=r"model.safetensors: safetensors file truncated or damaged .*delete it and run"
    ):
        verify_weights(weights)


def test_weights_of_the_user_have_no_checksum_and_are_checked_for_their_form(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "theirs.safetensors")
    verify_weights(tmp_path / "theirs.safetensors")


@pytest.fixture
def encoded(tmp_path: Path) -> Path:
    path = tmp_path / "train.arrow"
    ids = [[0, 5 + number % 7, 2] for number in range(500)]
    write_encoded({"input_ids": ids, "example": list(range(500)), "label": [1] * 500}, path)
    return path


def test_flipped_bytes_of_token_ids_are_found(encoded: Path) -> None:
    size = encoded.stat().st_size
    read_encoded(encoded)
    found = 0
    for start in range(0, size - 64, 256):
        flip(encoded, start, 64)
        try:
            read_encoded(encoded)
        except SourceError as error:
            assert str(error).startswith(f"{encoded}: Arrow file truncated or damaged (")
            found += 1
        flip(encoded, start, 64)
    # Arrow pads buffers and repeats its schema in the footer: bytes that nobody reads may change
    assert found >= 0.95 * len(range(0, size - 64, 256))
    assert np.array_equal(read_encoded(encoded).tokens["input_ids"][:3], [0, 5, 2])


def test_an_encoded_file_without_a_checksum_is_refused(tmp_path: Path, encoded: Path) -> None:
    table = read_encoded(encoded).table.replace_schema_metadata(None)
    path = tmp_path / "other.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(SourceError, match="other.arrow: Arrow file truncated or damaged .its checksum does not match"):
        read_encoded(path)


def test_the_checksum_does_not_depend_on_when_or_how_a_table_is_written(tmp_path: Path, encoded: Path) -> None:
    table = read_encoded(encoded).table
    write_encoded(pa.concat_tables([table.slice(0, 100), table.slice(100)]), tmp_path / "again.arrow")
    assert (tmp_path / "again.arrow").read_bytes() == encoded.read_bytes()


@pytest.mark.parametrize("read", [read_parquet, read_frame, lambda path: list(read_batches(path, 100))])
def test_flipped_bytes_of_a_parquet_file_are_found_by_every_reader(tmp_path: Path, read: object) -> None:
    path = tmp_path / "eval.parquet"
    table = pa.table({"id": [f"en-{number}" for number in range(3000)], "score": np.arange(3000.0)})
    write_parquet(table, path, compression="none")
    assert count_rows(path) == 3000 and read_schema(path).names == ["id", "score"] and read(path) is not None  # type: ignore[operator]
    data_end = pq.read_metadata(path).row_group(0).total_byte_size
    for start in range(100, data_end - 64, 4096):
        flip(path, start, 64)
        with pytest.raises(SourceError, match="eval.parquet: parquet file truncated or damaged"):
            read(path)  # type: ignore[operator]
        flip(path, start, 64)
    path.write_bytes(path.read_bytes()[:-100])
    for any_read in (read, count_rows, read_schema):
        with pytest.raises(
            SourceError, match="eval.parquet: parquet file truncated or damaged .*delete it and run again"
        ):
            any_read(path)  # type: ignore[operator]
