"""The sample of examples: every outcome of every cell that occurs is in it, in few examples."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stiltgrid.analysis.example_sample import choose, sample_examples
from stiltgrid.utils.errors import SourceError

NONE, OWN = ("m", "none"), ("m", "mnli")


def test_rare_outcomes_are_in_the_sample() -> None:
    outcomes = np.full((2, 1000), 3)
    outcomes[0, 17], outcomes[1, 401], outcomes[1, 802] = 0, 1, 2
    chosen = choose(outcomes, 8, "de")
    assert {17, 401, 802} <= set(chosen) and len(chosen) == len(set(chosen)) == 4
    assert chosen == choose(outcomes, 8, "de") != choose(outcomes, 8, "en")
    assert len(choose(outcomes, 2, "de")) == 2
    assert choose(outcomes[:, :1], 8, "de") == [0]


def write(path: Path, **columns: list) -> Path:
    size = len(columns["id"])
    pq.write_table(pa.table({"language": ["de"] * size, "split": ["test"] * size, **columns}), path)
    return path


def test_answers_are_aligned_by_id(tmp_path: Path) -> None:
    none = write(tmp_path / "a", id=["1", "2"], prediction=["x", "y"], score=[1.0, 0.0])
    own = write(tmp_path / "b", id=["2", "1"], prediction=["z", "w"], score=[1.0, 0.0])
    sample = sample_examples({NONE: none, OWN: own}, "sequence", "test", ["de", "fr"], 8, "none")
    assert list(sample) == ["de"] and sample["de"].total == 2
    found = {each.id: each.answers for each in sample["de"].examples}
    assert (found["1"][OWN].value, found["1"][OWN].right, found["1"][NONE].right) == ("w", False, True)
    assert (found["2"][OWN].value, found["2"][OWN].right, found["2"][NONE].right) == ("z", True, False)


def test_a_query_that_mining_did_not_pair_is_right_where_it_has_no_gold(tmp_path: Path) -> None:
    paths = {
        NONE: write(tmp_path / "a", id=["1"], prediction=["k"], gold=[["k"]]),
        OWN: write(tmp_path / "b", id=["1", "2"], prediction=pa.array([None, "k"], pa.string()), gold=[["k"], []]),
    }
    sample = sample_examples(paths, "embedding", "test", ["de"], 8, "none")["de"]
    found = {each.id: each.answers for each in sample.examples}
    assert (found["2"][NONE].value, found["2"][NONE].right, found["2"][OWN].right) == (None, True, False)
    assert not found["1"][OWN].right and found["1"][NONE].right


def test_other_splits_are_left_out_and_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a", id=["1"], prediction=["x"], score=[1.0])
    assert sample_examples({NONE: path}, "sequence", "dev", ["de"], 8, "none") == {}
    with pytest.raises(SourceError, match="expected columns exact_match, f1"):
        sample_examples({NONE: path}, "span", "test", ["de"], 8, "none")
