"""A run in a folder of its own, and a clone in a folder that Snakemake cannot read."""

import subprocess
import sys
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


def test_experiments_side_by_side_keep_their_tables_apart(grid: Repository) -> None:
    """A folder that does not exist yet, a configuration beside the clone, data that the Snakefile finds."""
    mine = {**GRID, "standalone": True, "intermediates": ["none"], "targets": ["tatoeba"]}
    (grid.folder / "my.yaml").write_text(yaml.safe_dump(mine), encoding="utf-8")
    before = contents(grid.folder / "results")
    result = grid.snakemake("--directory", "runs/mine", "--configfile", "my.yaml")
    assert result.returncode == 0, result.stdout[-3000:]
    made = grid.folder / "runs/mine/results"
    assert "tatoeba" in (made / "tables/transfer.tsv").read_text(encoding="utf-8")
    assert [path.stem for path in sorted((made / "plots/languages").iterdir())] == ["tatoeba"] * 3
    assert contents(grid.folder / "results") == before
    assert grid.pending() == []


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and modification time of every file below a folder."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_an_empty_folder_needs_the_path_of_the_snakefile_alone(tmp_path: Path) -> None:
    """Configuration, profile, data and scripts are found beside the Snakefile."""
    repository = Repository(tmp_path / "clone")
    empty = tmp_path / "empty"
    empty.mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", "../clone/Snakefile", "--cores", "1", EVAL],
        cwd=empty, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:]
    assert "profiles/default" in result.stdout and (empty / EVAL).is_file()
    assert not (repository.folder / "results").exists()


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
