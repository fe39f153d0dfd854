"""What families share: label lists in parquet, groups of sequences, subsets that stay parallel."""

import numpy as np
import pyarrow as pa
import pytest
from stiltgrid.tasks.families import NAMES, family
from stiltgrid.tasks.families.base import KEYS, Family
from stiltgrid.tasks.families.common import (
    by_language_and_split,
    distinct,
    example_groups,
    predictions_table,
    put_labels,
    with_labels,
)


def test_every_family_is_there_under_its_name():
    for name in NAMES:
        found = family(name)
        assert isinstance(found, Family) and found.name == name
        assert found.schema.names[:3] == [key for key, _ in KEYS]
    with pytest.raises(KeyError):
        family("sequences")


def test_labels_travel_in_the_schema_and_a_cards_own_win(tools):
    schema = put_labels(pa.schema(KEYS, metadata={"source": "kept"}), ["N", "S\\NP"])
    assert schema.metadata[b"source"] == b"kept"
    assert with_labels(tools.card("tagging", {}), schema).labels == ("N", "S\\NP")
    assert with_labels(tools.card("tagging", {}, labels=("A",)), schema).labels == ("A",)
    assert with_labels(tools.card("tagging", {}), pa.schema(KEYS)).labels == ()


def test_groups_follow_the_example_column():
    assert list(example_groups(np.array([4, 4, 7, 9, 9]))) == [(4, slice(0, 2)), (7, slice(2, 3)), (9, slice(3, 5))]
    assert list(example_groups([])) == []


def test_distinct_keeps_first_appearance():
    assert distinct(["b", "a", "b"]) == (["b", "a"], [0, 1, 0])


def keys(languages, examples):
    return pa.Table.from_pylist(
        [
            {"id": f"{number}", "language": language, "split": split}
            for language in languages
            for split in ("dev", "test")
            for number in range(examples)
        ]
    )


def test_predictions_carry_the_keys_of_their_rows():
    table = predictions_table(
        keys(["de"], 3), [2, 4], {"prediction": ["x", "y"], "gold": ["x", "z"], "score": [1, 0]}, pa.string()
    )
    assert table.select(["id", "split", "gold"]).to_pylist() == [
        {"id": "2", "split": "dev", "gold": "x"},
        {"id": "1", "split": "test", "gold": "z"},
    ]
    assert table.schema.field("score").type == pa.float64()
    assert [(language, split, part.num_rows) for language, split, part in by_language_and_split(table)] == [
        ("de", "dev", 1),
        ("de", "test", 1),
    ]


def test_subsets_are_the_same_rows_in_every_language():
    taken = family("sequence").subsample(keys(["de", "sw", "zh"], 50), 8)
    chosen = {
        (language, split): part.column("id").to_pylist() for language, split, part in by_language_and_split(taken)
    }
    assert len(chosen) == 6 and all(len(ids) == 8 for ids in chosen.values())
    assert chosen["de", "dev"] == chosen["sw", "dev"] == chosen["zh", "dev"]
    assert family("sequence").subsample(keys(["de"], 5), 8).num_rows == 10
