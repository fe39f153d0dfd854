"""The last lines of a run lead to its results."""

from stiltgrid.workflow.closing import closing_note

EXPORTED = "exported models  results/exports; the README.md of each folder loads its model\n"


def test_a_run_says_where_its_exports_and_its_folder_are() -> None:
    assert closing_note(["export_checkpoints"], None, "") == EXPORTED
    assert closing_note(["results/exports/sentences/mini/mnli/seed1"], "runs/first", "") == (
        f"{EXPORTED}These paths are in runs/first.\n"
    )
    assert closing_note([], "runs/first", "matrix  results/plots") == "These paths are in runs/first.\n"


def test_a_run_that_made_nothing_to_read_says_nothing() -> None:
    assert closing_note([], "runs/first", "") == closing_note(["all"], None, "matrix") == ""
