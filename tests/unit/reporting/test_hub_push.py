"""Exported folders become repositories of the hub: private, once, and only with a token."""

import json
from pathlib import Path
from typing import Any

import pytest
from configurations import changed, load
from stand_in_hub import TOKEN, StandInHub
from stiltgrid.reporting.hub_push import PushSettings, push_folder, repository_name
from stiltgrid.utils.errors import ConfigError, SourceError, StiltgridError
from stiltgrid.workflow.export_jobs import ExportJobs

CONFIG = changed(intermediates=["none", "mnli", "a+b"], targets=["xnli", "xquad", "tatoeba"], training={},
                 recipes={"a+b": {"tasks": ["mnli", "squad_v1"]}})  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an export looks like to the hub: a card, a configuration, weights, a folder in it."""
    made = tmp_path / "export"
    (made / "1_Pooling").mkdir(parents=True)
    (made / "README.md").write_text("---\nlibrary_name: transformers\n---\n# A model\n", encoding="utf-8")
    (made / "config.json").write_text("{}", encoding="utf-8")
    (made / "1_Pooling/config.json").write_text("{}", encoding="utf-8")
    (made / "model.safetensors").write_bytes(b"weights" * 100)
    (made / ".snakemake_timestamp").touch()
    return made


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def test_a_folder_is_pushed_whole_and_private(hub: StandInHub, folder: Path, token: None, tmp_path: Path) -> None:
    push_folder(folder, "my-lab/tiny", True, tmp_path / "record.json")
    repository = hub.repositories["model", "my-lab/tiny"]
    files = repository.commits[repository.refs["main"]]
    assert repository.private and files["model.safetensors"] == b"weights" * 100
    assert set(files) - {".gitattributes"} == {"README.md", "config.json", "1_Pooling/config.json", "model.safetensors"}
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {"repository": "my-lab/tiny", "commit": repository.refs["main"], "private_if_new": True}


def test_a_second_push_makes_no_commit_and_a_change_one(
    hub: StandInHub, folder: Path, token: None, tmp_path: Path
) -> None:
    push_folder(folder, "my-lab/tiny", True, tmp_path / "record.json")
    commits = hub.repositories["model", "my-lab/tiny"].commits
    assert len(commits) == 2  # the hub's own first one, and this
    push_folder(folder, "my-lab/tiny", True, tmp_path / "record.json")
    assert len(commits) == 2 and hub.count("/commit/", "POST") == 1
    (folder / "config.json").write_text('{"hidden_size": 8}', encoding="utf-8")
    push_folder(folder, "my-lab/tiny", True, tmp_path / "record.json")
    assert len(commits) == 3 and len(hub.large) == 1


def test_nothing_is_asked_of_the_hub_without_a_token(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StiltgridError, match="expected a token for the hub, found none; set HF_TOKEN"):
        push_folder(folder, "my-lab/tiny", True, tmp_path / "record.json")
    assert not hub.requests and not (tmp_path / "record.json").exists()


def test_a_token_that_may_not_write_is_said_to_be_refused(
    hub: StandInHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(StiltgridError, match=r"my-lab/tiny: the hub refuses the token \(status 401\)"):
        push_folder(folder, "my-lab/tiny", True, tmp_path / "record.json")
    assert not hub.repositories


def test_a_folder_without_a_card_is_no_export(token: None, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected an exported model with README\.md"):
        push_folder(tmp_path, "my-lab/tiny", True, tmp_path / "record.json")


def test_names_are_made_of_model_row_task_and_seed() -> None:
    settings = PushSettings("my-lab", "stilts-")
    assert repository_name(settings, "tiny", "a+b", "social_i_qa+copa", "seed1") == (
        "my-lab/stilts-tiny-a-b-social_i_qa-copa-seed1"
    )
    with pytest.raises(StiltgridError, match="at most 96 letters"):
        repository_name(settings, "tiny", "row" * 40)


def test_all_that_is_pushed_follows_from_the_configuration() -> None:
    jobs = ExportJobs(load({**CONFIG, "push": {"owner": "my-lab", "kinds": ["tuned", "sentences"]}}))
    found = jobs.pushed(with_token=False)
    assert "results/exports/pushed/tuned/tiny/none/squad_v1/seed1.json" in found
    assert "results/exports/pushed/sentences/tiny/mnli/seed1.json" in found
    assert not any("/checkpoints/" in path for path in found)
    assert jobs.repository("sentences/tiny/mnli/seed1") == "my-lab/sentences-tiny-mnli-seed1"
    assert jobs.push_settings().private
    with pytest.raises(StiltgridError, match="found none; set HF_TOKEN"):
        jobs.pushed()


def wrong(push: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportJobs(load({**CONFIG, "push": push})).pushed(with_token=False)


def test_a_push_without_an_owner_is_refused_when_it_is_asked_for() -> None:
    assert ExportJobs(load(CONFIG)).folders
    wrong({}, r"push\.owner: push_checkpoints needs")
    wrong({"owner": "a/b"}, r"push\.owner")
    wrong({"owner": "a", "kinds": ["all"]}, r"push\.kinds")


def test_text_vectors_of_a_grid_that_scores_none_are_refused_with_what_to_add() -> None:
    with pytest.raises(StiltgridError, match="add one to `targets`, such as tatoeba"):
        ExportJobs(load(changed(intermediates=["none", "mnli"], targets=["xnli"], training={}))).vector_target()
