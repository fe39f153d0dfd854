"""Pickled weights become safetensors: the same numbers, and nothing that a pickle may hold besides is run."""

import json
import logging
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from architectures import write_folder
from safetensors.torch import load_file
from stand_in_hub import StandInHub
from stiltgrid.data.sources.client import HubClient
from stiltgrid.grid.grid import Model
from stiltgrid.preparation.conversion import convert_model
from stiltgrid.preparation.models import fetch_model
from stiltgrid.utils.errors import SourceError


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ModernBERT with its weights in safetensors."""
    folder = tmp_path_factory.mktemp("sound")
    write_folder("modernbert", folder)
    return folder


@pytest.fixture
def pickled(sound: Path, tmp_path: Path) -> Path:
    """The same folder with pickled weights alone."""
    folder = tmp_path / "pickled"
    shutil.copytree(sound, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def fetched(folder: Path, out: Path) -> dict[str, torch.Tensor]:
    """The backbone that the grid reads of a folder."""
    fetch_model(Model("mine", path=str(folder)), out)
    return load_file(out / "backbone/model.safetensors")


def test_a_converted_folder_gives_the_same_backbone(
    sound: Path, pickled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "converted"
    with caplog.at_level(logging.INFO):
        convert_model(Model("mine", path=str(pickled), convert=True), out)
    ours, theirs = fetched(out, tmp_path / "a"), fetched(sound, tmp_path / "b")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    record = json.loads((out / "conversion.json").read_text())
    assert record["path"] == str(pickled) and record["reader"].endswith("weights_only=True")
    assert record["files"]["pytorch_model.bin"]["bytes"] == (pickled / "pytorch_model.bin").stat().st_size
    assert (record["tensors"], record["copied"]) == (len(load_file(sound / "model.safetensors")), [])
    assert f"{record['parameters']} numbers" in caplog.text
    assert json.loads((tmp_path / "a/provenance.json").read_text())["converted"] == record


def test_a_hub_repository_in_parts(hub: StandInHub, sound: Path, tmp_path: Path) -> None:
    state = load_file(sound / "model.safetensors")
    half = sorted(state)[: len(state) // 2]
    files = {path.name: path.read_bytes() for path in sound.iterdir() if path.name != "model.safetensors"}
    names = {key: "pytorch_model-00001.bin" if key in half else "pytorch_model-00002.bin" for key in state}
    files["pytorch_model.bin.index.json"] = json.dumps({"weight_map": names}).encode()
    for name in set(names.values()):
        torch.save({key: state[key] for key in state if names[key] == name}, tmp_path / name)
        files[name] = (tmp_path / name).read_bytes()
    commit = hub.repository("made/parts", "model").commit(files)
    model = Model("parts", hub="made/parts", revision="main", convert=True)
    convert_model(model, tmp_path / "converted", HubClient(0.01))
    found = load_file(tmp_path / "converted/model.safetensors")
    assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)
    record = json.loads((tmp_path / "converted/conversion.json").read_text())
    assert (record["hub"], record["commit"], len(record["files"])) == ("made/parts", commit, 2)


def test_tensors_that_share_memory_are_copied(pickled: Path, tmp_path: Path) -> None:
    state = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    table = next(key for key in state if state[key].dim() == 2)
    state |= {"decoder.weight": state[table], "first.rows": state[table][:2], "turned": state[table].T}
    torch.save(state, pickled / "pytorch_model.bin")
    convert_model(Model("mine", path=str(pickled), convert=True), tmp_path / "out")
    record = json.loads((tmp_path / "out/conversion.json").read_text())
    assert record["copied"] == ["decoder.weight", "first.rows", "turned"]
    found = load_file(tmp_path / "out/model.safetensors")
    assert torch.equal(found["turned"], found[table].T) and torch.equal(found["first.rows"], found[table][:2])


class Payload:
    """What a hostile pickle holds: a call that is made when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "plain"])
def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(
    pickled: Path, tmp_path: Path, zipped: bool
) -> None:
    state = {"weight": torch.zeros(2), "more": Payload(tmp_path / "called")}
    torch.save(state, pickled / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(SourceError, match=r"pytorch_model.bin: refused, it holds more than tensors"):
        convert_model(Model("mine", path=str(pickled), convert=True), tmp_path / "out")
    assert not (tmp_path / "called").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: {"weight": torch.zeros(2), "step": 3}, "expected tensors by name, found int at 'step'"),
        (lambda: [torch.zeros(2)], "expected tensors by name, found list"),
    ],
)
def test_other_contents_are_refused(pickled: Path, tmp_path: Path, content, sentence: str) -> None:
    torch.save(content(), pickled / "pytorch_model.bin")
    with pytest.raises(SourceError, match=sentence):
        convert_model(Model("mine", path=str(pickled), convert=True), tmp_path / "out")


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_damaged_files_are_refused(pickled: Path, tmp_path: Path, size: int) -> None:
    file = pickled / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(SourceError, match=r"pytorch_model.bin: (truncated or damaged|refused)"):
        convert_model(Model("mine", path=str(pickled), convert=True), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_needs_no_conversion_is_not_converted(sound: Path, pickled: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has safetensors, so there is nothing to convert"):
        convert_model(Model("mine", path=str(sound), convert=True), tmp_path / "out")
    (pickled / "pytorch_model.bin").rename(pickled / "optimizer.pt")
    with pytest.raises(SourceError, match=r"expected pytorch_model.bin or .*, found optimizer.pt"):
        convert_model(Model("mine", path=str(pickled), convert=True), tmp_path / "out")


def test_without_the_key_pickles_stay_refused(pickled: Path, tmp_path: Path) -> None:
    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(tmp_path / "called")))
    with pytest.raises(SourceError, match=r"only pickled ones .*`convert: true`"):
        fetch_model(Model("mine", path=str(pickled)), tmp_path / "out")
    assert not (tmp_path / "called").exists()
