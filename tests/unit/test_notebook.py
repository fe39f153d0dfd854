"""What a notebook reads of a finished grid: the values of its files, and a clear error for what is not there."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import stiltgrid
from stiltgrid import notebook
from stiltgrid.utils.errors import SourceError
from stiltgrid.workflow.code_digest import code_digest
from stiltgrid.workflow.code_outline import Outlines

LIBRARY = Path(stiltgrid.__file__).parent
CELLS = [
    ("mini", "mnli", "xnli", 2),
    ("mini", "none", "xnli", 1),
    ("mini", "none", "xnli", 10),
    ("7", "none", "pawsx", 1),
]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of four cells, with names that a careless reader would take for numbers or for missing values."""
    tables = tmp_path / "tables"
    tables.mkdir()
    rows = [(*cell[:3], "nan", "test", cell[3], "accuracy", 50.0, 4) for cell in CELLS]
    columns = ["model", "intermediate", "target", "language", "split", "seed", "metric", "value", "n"]
    pd.DataFrame(rows, columns=columns).to_parquet(tables / "scores.parquet")
    (tables / "transfer.tsv").write_text("model\tintermediate\tscore\tgain\n7\tnone\t50.0000\t\n")
    (tables / "transfer_by_language.tsv").write_text("model\tintermediate\tlanguage\tscore\n7\tnone\tnan\t50.0000\n")
    for model, row, target, seed in CELLS:
        folder = tmp_path / "scores" / model / row / target / f"seed{seed}"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"cell": {"seed": seed}}))
        pd.DataFrame({"id": ["a"], "prediction": ["yes"], "gold": ["no"]}).to_parquet(folder / "predictions.parquet")
    return tmp_path


def test_scores_and_tables_hold_what_is_in_the_files(results: Path) -> None:
    scores = stiltgrid.read_scores(results)
    assert len(scores) == len(CELLS) and set(scores.language) == {"nan"} and scores.value.dtype == "float64"
    transfer = stiltgrid.read_transfer(results)
    assert transfer.loc[0, ["model", "intermediate"]].tolist() == ["7", "none"]
    assert transfer.score[0] == 50.0 and pd.isna(transfer.gain[0])
    assert stiltgrid.read_transfer(results, by_language=True).language[0] == "nan"


def test_cells_are_listed_by_name_and_by_number_of_seed(results: Path) -> None:
    found = stiltgrid.list_cells(results)
    assert list(found.itertuples(index=False, name=None)) == sorted(CELLS)


def test_predictions_and_metrics_of_one_cell(results: Path) -> None:
    assert stiltgrid.read_predictions(results, "mini", "none", "xnli", 10).prediction.tolist() == ["yes"]
    assert stiltgrid.read_metrics(str(results), "mini", "none", "xnli", 10) == {"cell": {"seed": 10}}


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (("mimi", "none", "xnli", 1), "no model 'mimi' is scored; did you mean 'mini'?"),
        (("mini", "mnly", "xnli", 1), "no intermediate 'mnly' is scored; did you mean 'mnli'?"),
        (("mini", "none", "udpos", 1), "no target 'udpos' is scored; valid: xnli"),
        (("mini", "none", "xnli", 3), "seed 3 is not scored; scored: 1, 10"),
    ],
)
def test_a_cell_that_is_not_there_is_an_error_with_the_nearest_name(
    results: Path, cell: tuple[str, str, str, int], sentence: str
) -> None:
    with pytest.raises(SourceError) as error:
        stiltgrid.read_predictions(results, *cell)
    assert sentence in str(error.value)


def test_a_table_that_is_not_there_is_an_error_with_the_nearest_name(results: Path) -> None:
    with pytest.raises(SourceError, match=r"transfr\.tsv: no such table; did you mean 'transfer'\?"):
        stiltgrid.read_table("transfr", results)


def test_an_empty_folder_is_an_error_that_says_what_was_expected(tmp_path: Path) -> None:
    for read in (stiltgrid.read_scores, stiltgrid.read_transfer, stiltgrid.list_cells):
        with pytest.raises(SourceError, match="nothing there; expected the results of a run"):
            read(tmp_path)
    with pytest.raises(SourceError, match="nothing there; expected the results of a run"):
        stiltgrid.read_metrics(tmp_path, "mini", "none", "xnli", 1)


def test_a_damaged_file_is_named(results: Path) -> None:
    (results / "tables/scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"scores\.parquet: parquet file truncated or damaged"):
        stiltgrid.read_scores(results)
    (results / "scores/mini/none/xnli/seed1/metrics.json").write_text("{")
    with pytest.raises(SourceError, match=r"metrics\.json: not a complete JSON file"):
        stiltgrid.read_metrics(results, "mini", "none", "xnli", 1)


def test_the_package_offers_just_the_functions_for_notebooks() -> None:
    tree = ast.parse((LIBRARY / "__init__.py").read_text(encoding="utf-8"))
    typed = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(typed) == sorted([*notebook.__all__, "TYPE_CHECKING", "Any"])
    assert dir(stiltgrid) == sorted([*notebook.__all__, "__version__"])
    assert all(getattr(stiltgrid, name) is getattr(notebook, name) for name in notebook.__all__)
    with pytest.raises(AttributeError, match="module 'stiltgrid' has no attribute 'read_everything'"):
        stiltgrid.read_everything  # noqa: B018


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    asked = "import sys, stiltgrid; print(sorted({'pandas', 'numpy', 'pyarrow', 'torch'} & sys.modules.keys()))"
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(LIBRARY.parent)!r}); {asked}"]
    assert subprocess.check_output(command, text=True, cwd=tmp_path) == "[]\n"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("notebook.py", '"scores.parquet"', '"other.parquet"'),
        ("version.py", "VERSION = ", "VERSION = '9' + "),
        ("__init__.py", '"list_cells", ', '"list_cells", "read_everything", '),
    ],
)
def test_a_change_for_notebooks_or_a_release_reruns_nothing(tmp_path: Path, file: str, old: str, new: str) -> None:
    library = tmp_path / "stiltgrid"
    shutil.copytree(LIBRARY, library, ignore=shutil.ignore_patterns("__pycache__"))
    script = LIBRARY.parent / "collect_scores.py"
    before = code_digest(script, outlines=Outlines(library))
    text = (library / file).read_text(encoding="utf-8")
    assert old in text
    (library / file).write_text(text.replace(old, new), encoding="utf-8")
    assert code_digest(script, outlines=Outlines(library)) == before
    (library / "__init__.py").write_text("VERSION = 1\n")
    assert code_digest(script, outlines=Outlines(library)) != before, "what runs on import is part of every digest"


def test_no_job_can_reach_what_is_for_notebooks() -> None:
    for path in [*LIBRARY.rglob("*.py"), *LIBRARY.parent.glob("*.py")]:
        if path not in (LIBRARY / "__init__.py", LIBRARY / "notebook.py"):
            text = path.read_text(encoding="utf-8")
            assert "stiltgrid.notebook" not in text and "stiltgrid.version" not in text, path
