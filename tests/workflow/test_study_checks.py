"""A study is checked when it is asked for: a grid runs whatever is wrong with a study."""

from pathlib import Path
from typing import Any

import pytest
from repository import GRID, Repository

WRONG: dict[str, Any] = {
    "similarity": {"targets": ["xnly"]},
    "architecture": {"own_models": {"twin": {"like": "tony"}}},
    "diversity": {"tasks": ["mnli", "squad_v1"], "counts": [1, 2], "examples": [4, 8], "seeds": [1]},
    "how_many": {"tasks": ["mnli", "squad_v1", "qpp"]},
    "retrieval": {"english": ["squad_v1"], "controls": ["mnli"], "targets": ["xnli"]},
}
SAID = {
    "similarity": "studies.similarity.targets: no such task 'xnly', did you mean 'xnli'?",
    "architecture": "studies.architecture.own_models.twin.like: 'tony' is no model",
    "diversity": "studies.diversity.seeds: expected two at least, found 1",
    "how_many": "studies.how_many.tasks: no such task 'qpp', did you mean 'qqp'?",
    "retrieval": "studies.retrieval.targets: 'xnli' is of family sequence; expected retrieval",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder: Path = tmp_path_factory.mktemp("study_checks")
    repository = Repository(folder)
    repository.configure({**GRID, "studies": WRONG})
    return repository


def test_the_grid_is_planned(repository: Repository) -> None:
    assert {job.rule for job in repository.pending()} >= {"train_target", "score_target", "summarise"}


@pytest.mark.parametrize("study", WRONG)
def test_a_study_says_what_is_wrong_with_it(repository: Repository, study: str) -> None:
    result = repository.snakemake(f"study_{study}", "--dry-run")
    assert result.returncode == 1 and SAID[study] in result.stdout, result.stdout[-3000:]
    assert not [other for other in WRONG if other != study and SAID[other] in result.stdout]


def test_all_studies_together_say_it_too(repository: Repository) -> None:
    result = repository.snakemake("studies", "--dry-run")
    assert result.returncode == 1 and any(said in result.stdout for said in SAID.values()), result.stdout[-3000:]
