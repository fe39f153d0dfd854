"""Which cells studies and exports read, and what is refused before any work."""

from pathlib import Path
from typing import Any

import pytest
from configurations import ROOT, changed, load
from stiltgrid.utils.errors import StiltgridError
from stiltgrid.workflow import table_params
from stiltgrid.workflow.export_jobs import ExportJobs
from stiltgrid.workflow.study_jobs import StudyJobs

TASKS = ["mnli", "squad_v1", "qqp"]
STUDIES: dict[str, Any] = {
    "how_many": {
        "tasks": TASKS, "examples": 6, "counts": [1, 2, 3], "random_counts": [1], "draws": 2,
        "targets": ["tatoeba", "xnli"], "seeds": [1, 2], "chance": {"qqp": 40},
    },
    "retrieval": {"english": ["squad_v1"], "controls": ["mnli"], "targets": ["mewslix", "tatoeba"], "seeds": [1]},
    "similarity": {"seeds": [1], "intermediates": ["mnli", "squad_v1", "qqp", "commonsense_qa"], "examples": 7},
}  # fmt: skip
CONFIG = changed(
    intermediates=["none", "mnli", "both"], targets=["xnli", "xquad", "tatoeba"], studies=STUDIES,
    recipes={"both": {"tasks": ["mnli", "squad_v1"]}}, training={},
)  # fmt: skip


@pytest.fixture(scope="module")
def studies() -> StudyJobs:
    return StudyJobs(load(CONFIG), ROOT)


def test_a_study_that_is_not_configured_is_refused_with_where_to_look(studies: StudyJobs) -> None:
    with pytest.raises(StiltgridError, match=r"study_diversity: .* no section studies\.diversity; config\.yaml shows"):
        studies.view("diversity")
    with pytest.raises(StiltgridError, match="presets/studies.yaml"):
        StudyJobs(load({**CONFIG, "studies": {}}), ROOT).summaries()
    assert studies.summaries() == [f"results/studies/{name}/summary.md" for name in studies.grid.plans]


def test_rows_that_a_study_lacks_are_named_when_it_is_asked_for(tmp_path: Path) -> None:
    grid = load(CONFIG)
    for name in ("xnli", "tatoeba", "multi_nli", "squad", "qqp"):
        (tmp_path / "tests/data/mirror" / name).mkdir(parents=True)
    with pytest.raises(StiltgridError, match=r"study_how_many:\n  - .*mnli"):
        StudyJobs(grid, tmp_path).view("how_many")


def test_a_study_reads_its_own_cells(studies: StudyJobs) -> None:
    metrics = studies.metrics("similarity")
    assert len(metrics) == len(set(metrics)) == len(table_params.predictions(studies.view("similarity")))
    assert all("/seed1/" in name for name in metrics)
    assert all(name.startswith("results/intermediate/tiny/") for name in studies.records("similarity"))
    assert set(studies.unmixed()) == {"similarity", "retrieval"}
    keys = table_params.cell_keys(studies.view("similarity"))
    assert [f"results/scores/{model}/{row}/{target}/seed{seed}/metrics.json" for model, row, target, seed in keys] == (
        metrics
    )


def test_the_ranking_decides_which_mixtures_are_scored_beside_the_random_ones(
    studies: StudyJobs, tmp_path: Path
) -> None:
    ranking = tmp_path / "ranking.tsv"
    ranking.write_text("model\trank\ttask\n" + "".join(f"tiny\t{n}\t{t}\n" for n, t in enumerate(TASKS, 1)))
    best = studies.best_metrics(str(ranking))
    assert not set(best) & set(studies.metrics("how_many"))
    assert {name.split("/")[3] for name in best} == {"mix_v6_mnli__squad_v1", "mix_v6_mnli__qqp__squad_v1"}
    assert studies.ranked_records() == [
        f"results/intermediate/tiny/{task}/seed{seed}/training.json" for task in TASKS for seed in (1, 2)
    ]
    scales = {task["name"]: (task["chance"], task["best"]) for task in studies.ranked_tasks()}
    assert scales == {"mnli": (100 / 3, 100.0), "squad_v1": (0.0, 100.0), "qqp": (40, 100.0)}


def test_what_scoring_has_ranked_already_is_not_ranked_again(studies: StudyJobs) -> None:
    files = dict(zip(map(tuple, studies.retrieval_cells()), studies.retrieval_ranks(), strict=True))
    trained = files["tiny", "none", "mewslix", "after", 1]
    assert trained == "results/scores/tiny/none/mewslix/seed1/predictions.parquet"
    assert files["tiny", "none", "tatoeba", "after", 1].endswith("ranks/tiny/none/tatoeba/after/seed1.parquet")
    before = studies.ranked_checkpoint("tiny", "mnli", "before", "1")
    after = studies.ranked_checkpoint("tiny", "mnli", "after", "1")
    assert before[0].startswith("results/intermediate/tiny/mnli/") and after[0].startswith(
        "results/tuned/tiny/mnli/mew"
    )


def test_task_vectors_are_made_of_a_rows_own_task_or_of_a_targets_last(studies: StudyJobs) -> None:
    assert studies.similarity_option("examples", 500) == 7 and studies.similarity_option("fisher_examples", 200) == 200
    assert studies.fisher_task("row", "mnli") == "mnli" and studies.fisher_task("target", "social_i_qa+copa") == "copa"
    assert studies.fisher_card("target", "social_i_qa+copa")["name"] == "copa"
    files = studies.similarity_files()
    assert files == sorted(set(files)) and all(name.endswith(".safetensors") for name in files)
    families = studies.task_families("similarity")
    assert (families["mnli"], families["xquad"], families["commonsense_qa"]) == ("sequence", "span", "choice")


def test_a_whole_export_lists_all_that_the_grid_lacks_and_a_partial_one_takes_what_is_there() -> None:
    exports = ExportJobs(load(CONFIG))
    with pytest.raises(StiltgridError) as refused:
        exports.targets("xtreme", "nothing")
    for expected in ("pawsx: not among the targets", "xnli: no rows in ar bg", "row 'nothing': not among"):
        assert expected in str(refused.value)
    assert set(exports.targets("xtreme_partial", "best")) == {"xnli", "xquad", "tatoeba"}
    predictions = exports.predictions("xtreme_partial", "tiny", "best", "1")
    assert len(predictions) == len(exports.grid.intermediates) * 3
    [part] = [each for each in exports.parts("xtreme_partial", "tiny", "mnli", "1") if each["task"] == "xquad"]
    assert part["family"] == "span" and part["predictions"] == (
        "results/scores/tiny/{row}/xquad/seed1/predictions.parquet"
    )


def test_the_card_of_an_exported_checkpoint_names_every_task() -> None:
    facts = ExportJobs(load(CONFIG)).checkpoint_facts("tiny", "both", "2")
    assert (facts["model"], facts["intermediate"], facts["seed"], facts["base"]) == ("tiny", "both", 2, None)
    assert [task["name"] for task in facts["tasks"]] == ["mnli", "squad_v1"]
    assert facts["tasks"][0]["source"] == "local" and facts["tasks"][0]["hub"] is None
