"""Encoded data on disk: one Arrow file per split, memory-mapped, shared by every row of the grid.

A row is one *sequence* (a sentence, a window, an option, a piece of a long sentence). `example` is the index of the
canonical row that it was made from; sequences of one example are adjacent. Integer columns hold one number per
sequence, list columns one number per token.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stiltgrid.utils.checksums import KEY, digest
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path

CHECKSUM = KEY.encode()  # in the metadata of the schema


class Encoded:
    """Read-only view of an encoded table as flat numpy arrays over the mapped file, without copies."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self.scalars: dict[str, np.ndarray] = {}
        self.tokens: dict[str, np.ndarray] = {}
        self.offsets = np.zeros(1, dtype=np.int64)
        for name in self.table.column_names:
            column = self.table.column(name)
            chunk = column.chunk(0) if column.num_chunks else pa.array([], type=column.type)
            if pa.types.is_large_list(column.type):
                start, stop = (chunk.offsets[0].as_py(), chunk.offsets[-1].as_py()) if len(chunk) else (0, 0)
                self.tokens[name] = chunk.values.slice(start, stop - start).to_numpy(zero_copy_only=True)
                if name == "input_ids" and len(chunk):
                    self.offsets = chunk.offsets.to_numpy() - start
            else:
                self.scalars[name] = chunk.to_numpy(zero_copy_only=False)
        self.lengths = np.diff(self.offsets)
        self.examples = self.scalars["example"]

    def __len__(self) -> int:
        return len(self.lengths)

    def take_examples(self, examples: np.ndarray) -> "Encoded":
        """The sequences of some examples (ascending numbers), renumbered from 0."""
        rows = np.flatnonzero(np.isin(self.examples, examples))
        table = self.table.take(pa.array(rows))
        numbers = pa.array(np.searchsorted(examples, self.examples[rows]).astype(np.int32))
        return Encoded(table.set_column(table.column_names.index("example"), "example", numbers))

    @property
    def example_offsets(self) -> np.ndarray:
        """(examples + 1,): the sequences of the k-th example are [offsets[k], offsets[k + 1])."""
        changes = np.flatnonzero(np.diff(self.examples)) + 1
        return np.concatenate([[0], changes, [len(self)]]) if len(self) else np.zeros(1, dtype=np.int64)


def to_table(columns: Mapping[str, list]) -> pa.Table:
    """One Arrow table from columns (lists of int, or lists of lists of int)."""
    arrays = {}
    for name, values in columns.items():
        nested = len(values) > 0 and not np.isscalar(values[0])
        arrays[name] = pa.array(values, type=pa.large_list(pa.int32()) if nested or name == "input_ids" else pa.int32())
    return pa.table(arrays)


def write_encoded(columns: Mapping[str, list] | pa.Table, path: str | os.PathLike[str]) -> None:
    """Write columns (or a table of them) as an uncompressed Arrow file of one chunk with a checksum, atomically."""
    table = (columns if isinstance(columns, pa.Table) else to_table(columns)).combine_chunks()
    metadata = {**(table.schema.metadata or {}), CHECKSUM: _digest(table)}
    table = table.replace_schema_metadata(metadata)
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(1, table.num_rows))


def read_encoded(path: str | os.PathLike[str]) -> Encoded:
    """Map an encoded file. Raises SourceError where it is truncated, not Arrow, or not what was written."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all()
        if (table.schema.metadata or {}).get(CHECKSUM) != _digest(table):
            raise ValueError("its checksum does not match")
        return Encoded(table)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        problem = f"Arrow file truncated or damaged ({error}); delete it and run again"
        raise SourceError(f"{Path(path)}: {problem}") from error


def _digest(table: pa.Table) -> bytes:
    """The checksum of a table of one chunk: its columns' names, types, offsets and values."""
    parts: list[Any] = [str(table.schema.remove_metadata()).encode()]
    for column in table.columns:
        chunk = column.chunk(0) if column.num_chunks else pa.array([], type=column.type)
        if pa.types.is_large_list(column.type):
            parts.append(np.ascontiguousarray(chunk.offsets.to_numpy()))
            chunk = chunk.values
        parts.append(np.ascontiguousarray(chunk.to_numpy(zero_copy_only=False)))
    return digest(parts).encode()


def check_lengths(encoded: Encoded, limit: int | None, path: Any) -> None:
    """Raise SourceError for sequences of more than `limit` tokens; `path` names the encoded file."""
    longest = int(encoded.lengths.max(initial=0))
    if limit is not None and longest > limit:
        raise SourceError(f"{path}: a sequence of {longest} tokens, but the model reads {limit}; lower max_length")
