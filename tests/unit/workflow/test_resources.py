"""Estimates from real files: what a cluster is asked for."""

import pytest
from stiltgrid.workflow import resources


@pytest.fixture
def inputs(tmp_path):
    """A checkpoint of 100 MB, encoded data of 40 MB, rows of 10 MB (sparse files)."""
    sizes = {"model.safetensors": 100, "config.json": 0, "train.arrow": 40, "train.parquet": 10}
    for name, size in sizes.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size << 20)
    return [str(tmp_path / name) for name in sizes]


def test_memory_holds_the_copies_of_the_weights_and_grows_with_attempts(inputs):
    assert resources.memory_mb(inputs, 6) == 2000 + 6 * 100 + 2 * 50
    assert resources.memory_mb(inputs, 6, attempt=2) == int(1.5 * 2700)
    assert resources.memory_mb(inputs, resources.SCORING_COPIES) < resources.memory_mb(
        inputs, resources.TRAINING_COPIES
    )


def test_minutes_follow_weights_and_tokens_between_their_bounds(inputs):
    assert resources.minutes(inputs, 1) == resources.LEAST_MINUTES
    assert resources.minutes(inputs, 1, attempt=3) == 3 * resources.LEAST_MINUTES
    # 6 operations * 26.2 million weights * 10.5 million tokens * 100 passes, at 2e13 a second, three times that.
    expected = 3 * 6 * (100 * 2**20 / 4) * (40 * 2**20 / 4) * 100 / 2e13 / 60
    assert resources.minutes(inputs, 100) == int(expected) > 100
    assert resources.minutes(inputs, 100, resources.FORWARD) == int(expected / 3)
    assert resources.minutes(inputs, 1e9, attempt=2) == resources.MOST_MINUTES


def test_files_that_are_not_there_yet_are_told_to_snakemake(inputs, tmp_path):
    with pytest.raises(FileNotFoundError):
        resources.memory_mb([*inputs, tmp_path / "later.safetensors"], 6)
