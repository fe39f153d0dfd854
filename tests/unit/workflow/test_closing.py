"""The last lines of a run lead to its results."""

from pathlib import Path

import pytest
import torch
from architectures import write_folder
from safetensors.torch import load_file
from stiltgrid.grid import paths
from stiltgrid.grid.grid import Model
from stiltgrid.preparation.conversion import convert_model
from stiltgrid.workflow.closing import closing_note, conversion_note

EXPORTED = "exported models  results/exports; the README.md of each folder loads its model\n"


def test_a_run_says_where_its_exports_and_its_folder_are() -> None:
    assert closing_note(["export_checkpoints"], None, "") == EXPORTED
    assert closing_note(["results/exports/sentences/mini/mnli/seed1"], "runs/first", "") == (
        f"{EXPORTED}These paths are in runs/first.\n"
    )
    assert closing_note([], "runs/first", "matrix  results/plots") == "These paths are in runs/first.\n"


def test_a_run_that_made_nothing_to_read_says_nothing() -> None:
    assert closing_note([], "runs/first", "") == closing_note(["all"], None, "matrix") == ""


def test_a_run_says_which_weights_it_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder("bert", Path("mine"))
    state = load_file("mine/model.safetensors")
    torch.save(state, "mine/pytorch_model.bin")
    Path("mine/model.safetensors").unlink()
    convert_model(Model("own", path="mine", convert=True), paths.converted_folder("own"))
    count = sum(tensor.numel() for tensor in state.values())
    assert conversion_note(["own", "other"], 0.0) == (
        f"converted  own: {count:,} numbers in {len(state)} tensors ({len(state)} float32) of pytorch_model.bin in "
        "mine, read with weights_only=True; now in results/models/own/converted\n"
    )
    written = Path("results/models/own/converted/conversion.json").stat().st_mtime
    assert conversion_note(["own"], written + 1) == "", "converted by an earlier run"
