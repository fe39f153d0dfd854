"""Rows prepared in batches: the file does not depend on the batches, and little memory is held."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.data.sources.local import LocalSource
from stiltgrid.grid.cards import TaskCard
from stiltgrid.preparation import canonical_rows, row_spool
from stiltgrid.preparation.prepare import prepare_train
from stiltgrid.preparation.row_spool import RowSpool, row_groups
from stiltgrid.utils.errors import RowError
from stiltgrid.utils.parquet import write_parquet

CARD = TaskCard(
    name="nli", family="sequence", about="", citation="", languages=("en",), metric="accuracy", max_length=64,
    fields={"id": "id", "text_a": "premise", "label": "label"}, labels=("no", "yes"), label_values=(0, 1),
    dev_from_train=7, local={"folder": "nli", "splits": {"train": "train"}},
)  # fmt: skip
SCHEMA = pa.schema([("id", pa.string()), ("language", pa.string()), ("split", pa.string())])


def write(root: Path, count: int, repeated: int | None = None) -> LocalSource:
    path = root / "nli" / "train.en.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        for number in range(count):
            name = 0 if number == repeated else number
            file.write(f'{{"id": {name}, "premise": "Sentence {number} of many.", "label": {number % 2}}}\n')
    return LocalSource(root)


@pytest.mark.parametrize("batch", [1, 7, 64, 10_000])
def test_the_file_is_the_same_whatever_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    source = write(tmp_path, 300)
    monkeypatch.setattr(row_spool, "ROW_GROUP", 128)
    found = []
    for rows in (batch, 8192):
        monkeypatch.setattr(canonical_rows, "BATCH", rows)
        prepare_train(CARD, {}, ("en",), source, tmp_path / "train.parquet", tmp_path / "dev.parquet")
        found.append([(tmp_path / name).read_bytes() for name in ("train.parquet", "dev.parquet")])
    assert found[0] == found[1]
    train, dev = (pq.read_table(tmp_path / name) for name in ("train.parquet", "dev.parquet"))
    assert (train.num_rows, dev.num_rows) == (293, 7)
    assert not set(train.column("id").to_pylist()) & set(dev.column("id").to_pylist())
    assert pq.ParquetFile(tmp_path / "train.parquet").num_row_groups == 3
    write_parquet(train.combine_chunks(), tmp_path / "at_once.parquet", compression="zstd", row_group=128)
    assert (tmp_path / "at_once.parquet").read_bytes() == found[0][0]


@pytest.mark.parametrize("repeated", [1, 150, 299])
def test_an_id_is_found_again_in_whatever_batch_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeated: int
) -> None:
    monkeypatch.setattr(canonical_rows, "BATCH", 64)
    with pytest.raises(
        RowError, match="train rows in en: expected unique ids, found 1 that are repeated, among them '0'"
    ):
        prepare_train(CARD, {}, ("en",), write(tmp_path, 300, repeated), tmp_path / "a" / "x", tmp_path / "a" / "y")
    assert list((tmp_path / "a").iterdir()) == []


def test_equal_hashes_of_different_ids_are_no_repeated_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical_rows, "hash", lambda key: 0, raising=False)
    prepare_train(CARD, {}, ("en",), write(tmp_path, 30), tmp_path / "train.parquet", tmp_path / "dev.parquet")
    assert pq.read_metadata(tmp_path / "train.parquet").num_rows == 23


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical_rows, "BATCH", 256)
    monkeypatch.setattr(row_spool, "ROW_GROUP", 1024)
    peaks = []
    for count in (5_000, 20_000):
        source = write(tmp_path, count)
        tracemalloc.start()
        prepare_train(
            replace(CARD, dev_from_train=100), {}, ("en",), source, tmp_path / "train.parquet", tmp_path / "dev.parquet"
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 15_000 * 16, peaks  # 8 bytes a row to find repeated ids, and room to grow


def test_a_spool_is_read_as_often_as_needed_and_leaves_no_file(tmp_path: Path) -> None:
    table = pa.table({"id": ["1", "2"], "language": ["en", "de"], "split": ["dev", "dev"]}, schema=SCHEMA)
    with RowSpool(tmp_path, SCHEMA) as spool:
        spool.fill([table.slice(0, 1), table.slice(1)])
        assert spool.read().equals(table) and spool.read().equals(table)
        assert spool.counts == {("en", "dev"): 1, ("de", "dev"): 1}
        assert list(tmp_path.iterdir()) == []


def test_row_groups_have_the_size_that_is_asked_for() -> None:
    tables = [pa.table({"n": pa.array(range(size), pa.int64())}) for size in (3, 1, 10, 0, 2)]
    groups = list(row_groups(tables, 4))
    assert [group.num_rows for group in groups] == [4, 4, 4, 4]
    assert all(group.column("n").num_chunks == 1 for group in groups)
    assert pa.concat_tables(groups).equals(pa.concat_tables(tables))
