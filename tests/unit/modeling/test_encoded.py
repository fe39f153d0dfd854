import numpy as np
import pytest
from stiltgrid.modeling.encoded import Encoded, read_encoded, to_table, write_encoded
from stiltgrid.utils.errors import SourceError

COLUMNS = {
    "input_ids": [[5, 6, 7], [8], [9, 10], [11]],
    "example": [0, 0, 2, 5],
    "label": [1, 0, 1, 0],
    "tag": [[1, 2, 3], [4], [5, 6], [7]],
}


def test_what_is_written_is_read_back_as_flat_columns(tmp_path):
    write_encoded(COLUMNS, tmp_path / "a.arrow")
    data = read_encoded(tmp_path / "a.arrow")
    assert data.lengths.tolist() == [3, 1, 2, 1]
    assert data.tokens["input_ids"].tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert data.tokens["tag"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert data.scalars["label"].tolist() == [1, 0, 1, 0]
    assert data.example_offsets.tolist() == [0, 2, 3, 4]
    assert not data.tokens["input_ids"].flags.owndata, "columns are views of the mapped file"


def test_taking_examples_keeps_their_sequences_and_counts_anew():
    part = Encoded(to_table(COLUMNS)).take_examples(np.array([0, 5]))
    assert part.examples.tolist() == [0, 0, 1]
    assert part.tokens["input_ids"].tolist() == [5, 6, 7, 8, 11]
    assert part.lengths.tolist() == [3, 1, 1]


def test_an_empty_file_has_no_examples(tmp_path):
    write_encoded({"input_ids": [], "example": []}, tmp_path / "a.arrow")
    data = read_encoded(tmp_path / "a.arrow")
    assert len(data) == 0 and data.example_offsets.tolist() == [0]


@pytest.mark.parametrize("keep", [0, 40, -20])
def test_a_truncated_file_is_named(tmp_path, keep):
    write_encoded(COLUMNS, tmp_path / "a.arrow")
    content = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(content[:keep])
    with pytest.raises(SourceError, match="a.arrow: Arrow file truncated or damaged"):
        read_encoded(tmp_path / "a.arrow")


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(Exception, match="."):
        write_encoded({"input_ids": [[1]], "example": [0, 1]}, tmp_path / "a.arrow")
    assert list(tmp_path.iterdir()) == []
