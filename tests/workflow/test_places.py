"""A run in a folder of its own, and a clone in a folder that Snakemake cannot read."""

from pathlib import Path

import yaml
from repository import GRID, Repository, counts

EVAL = "results/data/xnli/eval.parquet"


def test_an_experiment_can_have_a_folder_of_its_own(tmp_path: Path) -> None:
    """Configuration, profile and data are found beside the Snakefile; everything that is made stays in the folder."""
    repository = Repository(tmp_path / "clone")
    before = {path for path in repository.folder.rglob("*") if "__pycache__" not in path.parts}
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    found = repository.pending("--directory", str(folder))
    assert counts(found) == counts(repository.pending()) and counts(found)["score_target"] == 12
    result = repository.snakemake("--directory", str(folder), EVAL)
    assert result.returncode == 0, result.stdout[-3000:]
    assert "profiles/default" in result.stdout, "its profile is that of the clone"
    assert (folder / EVAL).is_file() and (folder / "logs/data/xnli/eval.log").is_file()
    made = {path for path in repository.folder.rglob("*") if "__pycache__" not in path.parts} - before
    assert {path.relative_to(repository.folder).parts[0] for path in made} <= {".snakemake"}
    assert not (repository.folder / "results").exists()
    assert repository.pending("--directory", str(folder), EVAL) == []
    repeat = repository.snakemake("--directory", str(folder), "--forcerun", "prepare_eval", "-n", EVAL)
    assert counts_of(repeat.stdout) == 1


def counts_of(output: str) -> int:
    return output.count("rule prepare_eval:")


def test_a_folder_with_a_configuration_of_its_own_uses_that(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "clone")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({**GRID, "targets": ["tatoeba"]}), encoding="utf-8")
    assert counts(repository.pending("--directory", str(folder)))["score_target"] == 3


def test_a_clone_whose_path_has_a_brace_is_refused_with_a_sentence(tmp_path: Path) -> None:
    result = Repository(tmp_path / "{x}").snakemake("--dry-run")
    assert result.returncode != 0 and "Traceback" not in result.stdout and "NameError" not in result.stdout
    assert "{x}: this folder's name has a brace" in result.stdout and "move or rename it" in result.stdout
