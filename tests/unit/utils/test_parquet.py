import numpy as np
import pyarrow as pa
from stiltgrid.utils.parquet import BUFFER, parquet_writer, read_batches

GROUPS, ROWS = 24, 4_000


def test_reading_in_batches_does_not_keep_what_was_read(tmp_path):
    draw, path = np.random.default_rng(1), tmp_path / "rows.parquet"
    texts = [[draw.bytes(100) for _ in range(ROWS)] for _ in range(GROUPS)]
    with parquet_writer(path, pa.schema({"text": pa.binary()})) as writer:
        for group in texts:
            writer.write_table(pa.table({"text": group}))
    before, most, found = pa.total_allocated_bytes(), 0, []
    for batch in read_batches(path, 500):
        found += batch.column("text").to_pylist()
        del batch
        most = max(most, pa.total_allocated_bytes() - before)
    assert found == [text for group in texts for text in group]
    assert path.stat().st_size > 8 * BUFFER
    assert most < 4 * BUFFER
