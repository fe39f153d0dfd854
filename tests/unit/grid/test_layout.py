"""Which cells, languages and headline numbers tables and plots expect of a grid."""

from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid, Model
from stiltgrid.grid.layout import grid_layout


def grid(source, **cards):
    made = {
        name: TaskCard(name, "tagging", "made", "nobody", max_length=8, metric="f1", **facts)
        for name, facts in cards.items()
    }
    return Grid(
        source=source, data_dir=None, world={}, models={"tiny": Model("tiny")}, intermediates=("none", "mnli"),
        targets=tuple(made), seeds=(1, 2), recipes={}, cards=made, training={}, evaluation={},
    )  # fmt: skip


def test_languages_without_the_headline_split_are_not_expected():
    section = {"splits": {"dev": "validation"}, "missing": {"dev": ["kk"]}}
    made = grid("local", udpos={"languages": ("de", "en", "kk"), "local": section})
    (column,) = grid_layout(made).columns
    assert (column.split, column.languages, column.others, column.english) == ("dev", ("de", "en"), ("de",), "en")


def test_missing_rows_of_another_split_or_source_do_not_matter():
    section = {"splits": {"dev": "validation", "test": "test"}, "missing": {"dev": ["kk"]}}
    made = grid("local", udpos={"languages": ("kk",), "local": section})
    (column,) = grid_layout(made).columns
    assert (column.split, column.languages, column.english) == ("test", ("kk",), None)


def test_only_the_mini_lab_is_called_synthetic_and_none_is_not_a_row():
    for source, synthetic in (("minilab", True), ("local", False), ("hub", False)):
        layout = grid_layout(grid(source, udpos={"languages": ("en",)}))
        assert layout.synthetic is synthetic
    assert layout.rows == ("mnli",)
