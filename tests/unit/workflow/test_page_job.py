"""What the results page's job reads of a grid, and the files that it reruns for."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from configurations import ROOT, changed, load
from stiltgrid.workflow import page_job
from stiltgrid.workflow.job_digests import Digests

CONFIG = changed(
    recipes={"chain": {"sequence": ["mnli", "squad_v1"]}},
    intermediates=["none", "chain"],
    targets=["xnli", "tatoeba"],
    seeds=[1],
)


def test_logs_are_those_of_rows_their_chains_and_tuned_models_that_are_kept() -> None:
    grid = load(CONFIG)
    steps = [step for step in grid.chain("chain")]
    assert len(steps) == 2
    rows = [f"results/intermediate/tiny/{step}/seed1/log.jsonl" for step in steps]
    tuned = [f"results/tuned/tiny/{row}/mnli/seed1/log.jsonl" for row in ("none", "chain")]
    assert page_job.log_paths(grid) == rows + tuned
    # Deleted models have no logs: asking for them would train them again.
    assert page_job.log_paths(replace(grid, keep_tuned=False)) == rows
    assert page_job.training_logs(grid)[-1] == ("tiny", "chain", "mnli", 1, tuned[-1])


def test_facts_say_where_models_and_targets_come_from() -> None:
    grid = load(CONFIG)
    found = page_job.facts(grid)
    assert found["models"] == {"tiny": "pretrained in this grid"}
    assert found["targets"]["tatoeba"]["tuned"] == "" and found["targets"]["xnli"]["tuned"] == "mnli"
    assert found["targets"]["xnli"]["origin"] == "local files"
    assert found["chains"] == {"none": ["none"], "chain": list(grid.chain("chain"))}
    hub = page_job.facts(replace(grid, source="hub"))["targets"]["xnli"]["origin"]
    assert hub.startswith(f"{grid.cards['xnli'].hub['path']} at ")


def test_a_change_of_template_style_or_program_changes_the_digest(tmp_path: Path) -> None:
    folder = tmp_path / "stiltgrid/reporting/page"
    shutil.copytree(ROOT / "workflow_scripts/stiltgrid/reporting/page", folder)
    digests = Digests(load(CONFIG), tmp_path)
    found = {digests.data_files("reporting/page")}
    for name in ("page.html.j2", "page.css", "page.js"):
        with (folder / name).open("a") as file:
            file.write("\n")
        found.add(digests.data_files("reporting/page"))
    assert len(found) == 4
    with (folder / "page.py").open("a") as file:  # code has digests of its own
        file.write("\n")
    assert digests.data_files("reporting/page") in found


def test_the_page_is_made_again_when_the_answer_of_a_selection_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (page_job.selection_answer(), page_job.selection_digest()) == ("", "")
    path = tmp_path / page_job.SELECTION
    path.parent.mkdir(parents=True)
    path.write_text("model\ttarget\n")
    first = page_job.selection_digest()
    assert page_job.selection_answer() == page_job.SELECTION and len(first) == 16
    path.write_text("model\ttarget\tchosen\n")
    assert page_job.selection_digest() not in ("", first)
