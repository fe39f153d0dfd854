"""Writes are atomic, and permissions follow the umask."""

import os
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import save_file
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.checkpoints import save_backbone, save_tuned
from stiltgrid.utils.files import atomic_path
from tiny_models import write_backbone


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_weights_honour_the_umask(umask, tmp_path, tiny_tokenizer_folder):
    backbone = load_backbone(write_backbone(tmp_path / "original", tiny_tokenizer_folder))
    for name, save in (
        ("plain", lambda folder: save_backbone(backbone, folder)),
        ("tuned", lambda folder: save_tuned(backbone, torch.nn.Linear(2, 2), folder)),
    ):
        with atomic_path(tmp_path / name) as folder:
            save(folder)
        assert {mode(file) for file in (tmp_path / name).iterdir()} == {0o666 & ~umask}
    with atomic_path(tmp_path / "state.safetensors") as file:
        save_file({"a": torch.zeros(2)}, file)
    assert mode(tmp_path / "state.safetensors") == 0o666 & ~umask


def test_a_failed_write_keeps_the_old_file(tmp_path):
    (tmp_path / "kept").write_text("old")
    with pytest.raises(ValueError), atomic_path(tmp_path / "kept") as temporary:
        temporary.write_text("new")
        raise ValueError
    assert [path.name for path in tmp_path.iterdir()] == ["kept"] and (tmp_path / "kept").read_text() == "old"
