"""Pickled weights turned into safetensors once, by a job of its own, for models with `convert: true`.

PyTorch's restricted unpickler reads them (`weights_only=True`): it builds tensors and plain containers and refuses
everything else that a pickle may name. Nothing else in the library unpickles anything.
"""

import logging
import os
import pickle
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from stiltgrid.data.sources.client import HubClient
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.model_folders import CONFIG, INDEX, PICKLED, WEIGHTS, folder_problems
from stiltgrid.preparation.models import RECORD, TOKENIZER_FILES
from stiltgrid.utils.checksums import seal_weights
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path, read_json, write_json

logger = logging.getLogger(__name__)
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def convert_model(model: Model, out_dir: str | os.PathLike[str], client: HubClient | None = None) -> None:
    """Write a model folder with the weights in safetensors, and `conversion.json`, which says what was converted.

    Raises SourceError where there are no pickled weights or safetensors beside them, and for a pickle that holds
    anything but tensors.
    """
    names, fetch, origin = _origin(model, client or HubClient())
    shown = f"model '{model.name}': {origin.get('hub', origin.get('path'))}"
    pickles = _pickles(names, fetch, shown)
    files = {name: fetch(name) for name in (CONFIG, *TOKENIZER_FILES) if name in names}
    tensors: dict[str, torch.Tensor] = {}
    record: dict[str, Any] = {"model": model.name, **origin, "files": {}}
    for name in pickles:
        path = fetch(name)
        for key, tensor in _state(path, f"{shown}: {name}").items():
            if key in tensors:
                raise SourceError(f"{shown}: two of its files hold '{key}'")
            tensors[key] = tensor
        record["files"][name] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
    separate, shared = _separate(tensors)
    record |= {
        "reader": f"torch {torch.__version__}, weights_only=True",
        "tensors": len(separate),
        "parameters": sum(tensor.numel() for tensor in separate.values()),
        "dtypes": dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in separate.values())),
        "copied": shared,
    }
    with atomic_path(Path(out_dir)) as temporary:
        temporary.mkdir(parents=True)
        for name, path in files.items():
            shutil.copyfile(path, temporary / name)
        save_file(separate, temporary / WEIGHTS, {"format": "pt"})
        seal_weights(temporary / WEIGHTS)
        write_json(record, temporary / RECORD)
        for problem in folder_problems(temporary, shown):
            raise SourceError(f"{shown}: {problem}")
    logger.info(
        "%s: %d tensors with %d numbers (%s) of %s are now in %s; %d tensors that shared memory were copied",
        shown, record["tensors"], record["parameters"],
        ", ".join(f"{count} {dtype}" for dtype, count in record["dtypes"].items()), ", ".join(pickles),
        Path(out_dir) / WEIGHTS, len(shared),
    )  # fmt: skip


def _origin(model: Model, client: HubClient) -> tuple[set[str], Callable[[str], Path], dict[str, Any]]:
    """The names of a model's files, how to get one, and where they are from."""
    if model.path is not None:
        folder = Path(model.path)
        if not folder.is_dir():
            raise SourceError(f"model '{model.name}': expected a folder at {folder}, found none")
        return {path.name for path in folder.iterdir()}, lambda name: folder / name, {"path": str(folder)}
    repository = client.repository(str(model.hub), model.revision or "main", kind="model")
    origin = {"hub": repository.name, "revision": repository.revision, "commit": repository.commit}
    return set(client.files(repository)), lambda name: client.download(repository, name), origin


def _pickles(names: set[str], fetch: Callable[[str], Path], shown: str) -> list[str]:
    """The files of the weights, by transformers' names."""
    if WEIGHTS in names or INDEX in names:
        raise SourceError(
            f"{shown} has safetensors, so there is nothing to convert; take `convert` out of its settings"
        )
    if PICKLE in names:
        return [PICKLE]
    if PICKLE_INDEX in names:
        shards = sorted(set(read_json(fetch(PICKLE_INDEX))["weight_map"].values()))
        absent = [shard for shard in shards if shard not in names]
        if absent:
            raise SourceError(f"{shown}: {PICKLE_INDEX} names {absent[0]}, which is not there")
        return shards
    others = ", ".join(sorted(name for name in names if name.endswith(PICKLED))[:3]) or "no pickled weights"
    raise SourceError(f"{shown}: expected {PICKLE} or {PICKLE_INDEX}, found {others}")


def _state(path: Path, shown: str) -> Mapping[str, torch.Tensor]:
    """The tensors of one file, by name; those of a zip archive stay on disk until they are read."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(
            f"{shown}: refused, it holds more than tensors, and a pickle can run any code ({reason})"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise SourceError(f"{shown}: truncated or damaged ({error}); delete it and run again") from error
    if not isinstance(state, Mapping):
        raise SourceError(f"{shown}: expected tensors by name, found {type(state).__name__}")
    strange = next((key for key, value in state.items() if not isinstance(value, torch.Tensor)), None)
    if strange is not None:
        raise SourceError(f"{shown}: expected tensors by name, found {type(state[strange]).__name__} at '{strange}'")
    return state


def _separate(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors, each with memory of its own as safetensors wants them, and the names of those that were copied."""
    owners: set[int] = set()
    found, copied = {}, []
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage()
        whole = memory.nbytes() == tensor.numel() * tensor.element_size()
        if memory.data_ptr() in owners or not whole:
            copied.append(name)
            tensor = tensor.clone()
        owners.add(memory.data_ptr())
        found[name] = tensor.contiguous()
    return found, copied


def _digest(path: Path) -> str:
    found = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            found.update(chunk)
    return found.hexdigest()
