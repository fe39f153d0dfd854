"""`snakemake select` on the small grid, to its end: the budget is kept, no cell runs twice, the grid goes on."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from described_tables import check_tables
from repository import GRID, Repository, counts
from stiltgrid.reporting.tables_readme import write_readme
from stiltgrid.selection.answer import read_answers
from stiltgrid.selection.tables import ProposedCell, read_round
from stiltgrid.workflow import unfinished

PLACE = "results/selection"
SECTION: dict[str, Any] = {
    "budget": 0.5,
    "targets": ["xnli", "tatoeba"],
    "prior": ["earlier.tsv"],
    "fidelity": {"target": {"max_steps": 1}, "intermediate": {"max_steps": 1}},
    "by": ["language"],
}
CONFIG: dict[str, Any] = {**GRID, "targets": ["xnli", "tatoeba"], "seeds": [1, 2], "selection": SECTION}
EARLIER = """model\tintermediate\ttarget\tscore
other\tnone\txnli\t50
other\tmnli\txnli\t60
other\tsquad_v1\txnli\t49
other\tnone\ttatoeba\t30
other\tmnli\ttatoeba\t33
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The small grid with a selection that has run."""
    lab = Repository(tmp_path_factory.mktemp("select"))
    lab.configure(CONFIG)
    (lab.folder / "earlier.tsv").write_text(EARLIER)
    lab.first = lab.run("select")
    return lab


def rounds(lab: Repository) -> list[list[ProposedCell]]:
    return [read_round(lab.folder / PLACE / f"round{number}.tsv") for number in range(4)]


def test_the_budget_is_kept_and_no_run_is_proposed_twice(lab: Repository) -> None:
    cells = [cell for each in rounds(lab) for cell in each]
    assert cells and sum(cell.cost for cell in cells) <= 50 + 1e-6
    runs = [(cell.intermediate, cell.target, cell.fidelity, cell.seed) for cell in cells]
    assert len(runs) == len(set(runs))
    jobs = [(job.rule, tuple(sorted(job.wildcards.items()))) for job in lab.first]
    assert len(jobs) == len(set(jobs))


def test_only_the_first_round_is_of_low_fidelity_and_stays_out_of_the_grid(lab: Repository) -> None:
    first, *later = rounds(lab)
    assert any(cell.fidelity == "low" for cell in first)
    assert {cell.fidelity for each in later for cell in each} <= {"full"}
    for cell in (cell for cell in first if cell.fidelity == "low" and cell.target == "xnli"):
        record = json.loads(
            (lab.folder / PLACE / f"tuned/tiny/{cell.intermediate}/mnli/seed1/training.json").read_text()
        )
        assert record["stages"][0]["steps"] == 1
    full = {cell.metrics for each in rounds(lab) for cell in each if cell.fidelity == "full"}
    made = {str(path.relative_to(lab.folder)) for path in lab.folder.glob("results/scores/*/*/*/*/metrics.json")}
    assert made == full


def test_what_failed_at_low_fidelity_is_repeated_by_select_alone(
    lab: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = next(cell for cell in rounds(lab)[0] if cell.fidelity == "low" and cell.target == "xnli")
    monkeypatch.chdir(lab.folder)
    folder = Path(PLACE, "tuned/tiny", cell.intermediate, "mnli/seed1")
    wildcards = {"model": "tiny", "intermediate": cell.intermediate, "tuned": "mnli", "seed": "1"}
    record = unfinished.begin(SimpleNamespace(output=sorted(map(str, folder.iterdir())), wildcards=wildcards))
    kept = folder.rename("kept")
    try:
        pending, others = counts(lab.pending("select")), counts(lab.pending())
    finally:
        kept.rename(folder)
        unfinished.end(record)
    assert pending["train_target_low"] == 1 and others["train_target_low"] == 0


def test_every_target_has_a_row_with_its_probability_and_price(lab: Repository) -> None:
    answers = read_answers(lab.folder / PLACE / "selection.tsv")
    whole = {line["target"]: line for line in answers if line["by"] == "all"}
    assert set(whole) == {"xnli", "tatoeba"}
    for line in whole.values():
        assert line["chosen"] in CONFIG["intermediates"] and 0 <= float(line["probability"]) <= 1
        assert float(line["regret"]) >= 0 and float(line["spent"]) >= 0
        if line["score"]:
            metrics = lab.folder / f"results/scores/tiny/{line['chosen']}/{line['target']}"
            assert metrics.is_dir()
    assert {line["group"] for line in answers if line["by"] == "language" and line["target"] == "xnli"} == {"de", "en"}
    summary = (lab.folder / PLACE / "summary.md").read_text()
    assert "2 targets have a row" in summary and "Prior: earlier.tsv" in summary


def test_its_tables_have_exactly_the_columns_that_are_described(lab: Repository, tmp_path: Path) -> None:
    write_readme(tmp_path / "README.md", synthetic=False)
    tables = check_tables(tmp_path / "README.md", {"selection/": lab.folder / PLACE})
    assert tables == {"selection/round.tsv", "selection/selection.tsv"}


def test_a_second_run_does_nothing_and_an_interrupted_one_goes_on(lab: Repository) -> None:
    assert lab.pending("select") == []
    before = rounds(lab)
    lost = next(cell for cell in reversed([cell for each in before[:3] for cell in each]) if cell.fidelity == "full")
    for name in ("round3.tsv", "selection.tsv", "summary.md"):
        (lab.folder / PLACE / name).unlink()
    (lab.folder / lost.metrics).unlink()
    again = counts(lab.run("select"))
    assert again["score_target"] == 1 and again["choose_rows"] == 1
    assert not {rule for rule in again if rule.startswith("train")}
    assert rounds(lab) == before and lab.pending("select") == []


def test_the_page_of_what_is_finished_shows_the_answer(lab: Repository) -> None:
    result = lab.snakemake("tables_so_far", "--cores", "1")
    assert result.returncode == 0, result.stdout
    page = (lab.folder / "results/so_far/index.html").read_text(encoding="utf-8")
    held = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert held
    found = {column["name"]: column for column in json.loads(held[1])["selection"]["columns"]}
    answers = read_answers(lab.folder / PLACE / "selection.tsv")
    assert [found["chosen"]["words"][place] for place in found["chosen"]["values"]] == [a["chosen"] for a in answers]
    assert found["probability"]["values"] == [float(a["probability"]) for a in answers]


def test_the_grid_goes_on_from_what_the_selection_has_trained(lab: Repository) -> None:
    full = {
        (cell.intermediate, cell.target, cell.seed) for each in rounds(lab) for cell in each if cell.fidelity == "full"
    }
    pending = counts(lab.pending())
    assert pending["score_target"] == 3 * 2 * 2 - len(full)
    assert not {rule for rule in pending if rule.endswith("_low")}


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"budget": 2}, "selection.budget: expected at most 1, found 2"),
        ({"targets": ["xnly"]}, "'xnly' is no target of the grid, did you mean 'xnli'?"),
        ({"prior": ["earlier2.tsv"]}, "no file earlier2.tsv; did you mean 'earlier.tsv'?"),
        ({"fidelity": {"target": {"max_steps": 9}}}, "no task of the target stage has more than this"),
        (None, "the configuration has no section `selection`"),
    ],
)
def test_a_section_is_checked_when_it_is_asked_for(lab: Repository, section: Any, sentence: str) -> None:
    config = {key: value for key, value in CONFIG.items() if key != "selection"}
    lab.configure({**config, "selection": section} if section is not None else config)
    try:
        result = lab.snakemake("select", "--dry-run")
        assert result.returncode != 0 and sentence in result.stdout
        assert lab.snakemake("--dry-run").returncode == 0
    finally:
        lab.configure(CONFIG)


def test_a_budget_that_pays_for_nothing_is_refused_before_anything_trains(lab: Repository, tmp_path: Path) -> None:
    lab.configure({**CONFIG, "selection": {**SECTION, "budget": 0.001}})
    try:
        result = lab.snakemake(f"{PLACE}/round0.tsv", "--cores", "1", "--force")
        assert result.returncode != 0
        log = (lab.folder / "logs/selection/round0.log").read_text()
        assert "does not pay for two rows of any target; the least that makes sense is" in log
    finally:
        lab.configure(CONFIG)


def test_the_table_of_a_round_says_why(lab: Repository) -> None:
    with (lab.folder / PLACE / "round1.tsv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    assert all("in question" in line["reason"] for line in lines)
