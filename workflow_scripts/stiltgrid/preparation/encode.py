"""From canonical rows to token ids, one file for each model and task, shared by all cells of the grid."""

import logging
import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from stiltgrid.grid.architectures import position_limit
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.encoded import to_table
from stiltgrid.modeling.encoded_writer import EncodedWriter
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import read_json
from stiltgrid.utils.parquet import read_batches, read_schema

LOG = logging.getLogger(__name__)
ROWS_AT_ONCE = 4096


def usable_length(max_length: int, backbone_folder: str | os.PathLike[str] | None) -> int:
    """`max_length`, lowered with a warning to the number of positions that the backbone has."""
    if backbone_folder is None:
        return max_length
    limit = position_limit(read_json(Path(backbone_folder) / "config.json"))
    if limit is None or limit >= max_length:
        return max_length
    LOG.warning("sequences are cut at %d tokens, the model's limit; %d were asked for", limit, max_length)
    return limit


def encode_file(
    card: TaskCard,
    rows_path: str | os.PathLike[str],
    tokenizer_folder: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    max_length: int,
    training: bool,
    backbone_folder: str | os.PathLike[str] | None = None,
) -> None:
    """Encode a parquet of canonical rows into an Arrow file that training and scoring map into memory.

    `max_length` is in tokens, special tokens included; with `backbone_folder` it is lowered to what the
    backbone can read. Raises SourceError when a row yields no sequence or a sequence is too long.
    """
    kind = family(card.family)
    schema = read_schema(rows_path)
    card = with_labels(card, schema)
    tokenizer = SubwordTokenizer(tokenizer_folder)
    length = usable_length(max_length, backbone_folder)
    folder = Path(out_path).parent
    folder.mkdir(parents=True, exist_ok=True)
    done, checks = 0, _Checks(length)
    with EncodedWriter(folder) as writer:
        for batch in read_batches(rows_path, ROWS_AT_ONCE):
            rows = pa.Table.from_batches([batch])
            table = _shifted(to_table(kind.encode(card, rows, tokenizer, length, training)), done, rows.num_rows)
            checks.add(table, done, rows.num_rows)
            writer.add(table)
            done += rows.num_rows
        if not done:
            writer.add(to_table(kind.encode(card, kind.schema.empty_table(), tokenizer, length, training)))
        checks.report(done, training, Path(rows_path))
        # The schema's metadata may carry labels collected from the training rows; heads are built from them.
        writer.write(out_path, schema.metadata)
        LOG.info("%s: %d rows, %d sequences, %d tokens", card.name, done, writer.num_rows, writer.tokens())


def _shifted(table: pa.Table, first: int, count: int) -> pa.Table:
    """The table of a batch of rows, with `example` counted from the start of the file."""
    numbers = table.column("example").to_numpy() + first
    if len(numbers) and (numbers.min() < first or numbers.max() >= first + count):
        raise AssertionError("a family numbered an example outside the rows that it was given")
    place = table.column_names.index("example")
    return table.set_column(place, "example", pa.array(numbers.astype(np.int32)))


class _Checks:
    """Whether every row has yielded a sequence, and none is too long."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._missing, self._first_missing = 0, -1

    def add(self, table: pa.Table, first: int, count: int) -> None:
        """Check the sequences of `count` rows from number `first` on."""
        missing = np.setdiff1d(np.arange(first, first + count), table.column("example").to_numpy())
        if len(missing) and not self._missing:
            self._first_missing = int(missing[0])
        self._missing += len(missing)
        if table.num_rows:
            longest = np.diff(table.column("input_ids").chunk(0).offsets.to_numpy()).max()
            if longest > self.length:
                raise AssertionError(f"a family made a sequence of {longest} tokens where {self.length} is the limit")

    def report(self, rows: int, training: bool, path: Path) -> None:
        """Raise SourceError for rows without a sequence; in training data, only log them."""
        if self._missing and not training:
            first = self._first_missing + 1
            raise SourceError(f"{path}: {self._missing} rows yield no sequence, the first is row {first}")
        if self._missing:
            LOG.warning("%s: %d of %d rows yield no training sequence", path, self._missing, rows)
