"""Pretrained backbones from the hub or a folder, converted to the form that the grid reads.

Weights are read from safetensors only and no code of a repository is ever run. The output is the backbone without
task head, pooler and language-model head, under Hugging Face's keys.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.data.sources.client import HubClient, Repository
from stiltgrid.data.sources.local import MANIFEST
from stiltgrid.grid.architectures import CAUSAL, TAKEN_OVER, default_pooling, objective, text_part
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.library_errors import library_errors
from stiltgrid.modeling.model_folders import folder_problems
from stiltgrid.utils.checksums import seal_weights, verify_weights
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path, read_json, write_json

logger = logging.getLogger(__name__)
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
RECORD = "conversion.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
)
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def fetch_model(
    model: Model,
    out_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    client: HubClient | None = None,
) -> None:
    """Write {out_dir}/tokenizer, {out_dir}/backbone and {out_dir}/provenance.json for a hub id or a folder.

    With `data_dir` (source: local) a hub model is taken from that mirror where the mirror has it. Raises
    SourceError for pickled weights, for a repository that needs its own code (`auto_map`), for missing weights and
    for a tokenizer with more pieces than the model has embeddings.
    """
    folder, origin = model_folder(model, client or HubClient(), data_dir)
    config = _checked_config(folder, model.name)
    for problem in folder_problems(folder, str(folder)):
        raise SourceError(f"model '{model.name}': {problem}")
    out = Path(out_dir)
    _write_tokenizer(folder, out / "tokenizer", config, model.name)
    _write_backbone(folder, out / "backbone", model.name)
    write_json({"model": model.name, **origin}, out / "provenance.json")


def model_folder(
    model: Model, client: HubClient, data_dir: str | os.PathLike[str] | None = None
) -> tuple[Path, dict[str, Any]]:
    """A folder with a model's files and their provenance: `path`, the mirror at `data_dir`, or downloaded."""
    if found := _mirrored(model, data_dir):
        return found
    if model.path is not None:
        folder = Path(model.path)
        if not folder.is_dir():
            raise SourceError(f"model '{model.name}': expected a folder at {folder}, found none")
        _weight_files({path.name for path in folder.iterdir()}, f"{folder}", lambda name: folder / name)
        converted = {"converted": read_json(folder / RECORD)} if (folder / RECORD).is_file() else {}
        return folder, {"path": str(folder), **converted}
    if model.hub is None:
        raise SourceError(f"model '{model.name}': neither `hub` nor `path` says where its weights are")
    repository = client.repository(model.hub, model.revision or "main", kind="model")
    return _downloaded(repository, client), {
        "hub": repository.name,
        "revision": repository.revision,
        "commit": repository.commit,
    }


def mirror_model(model: Model, out_dir: str | os.PathLike[str], client: HubClient) -> dict[str, Any]:
    """Copy a hub model's files to {out_dir}/models/{owner}--{name}; returns the entry of the mirror's manifest."""
    folder, origin = model_folder(model, client)
    place = f"models/{str(model.hub).replace('/', '--')}"
    names = _weight_files({path.name for path in folder.iterdir()}, str(folder), lambda name: folder / name)
    with atomic_path(Path(out_dir) / place) as temporary:
        temporary.mkdir(parents=True)
        for name in ("config.json", *TOKENIZER_FILES, *names):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, temporary / name)
    return {**origin, "folder": place}


def _mirrored(model: Model, data_dir: str | os.PathLike[str] | None) -> tuple[Path, dict[str, Any]] | None:
    """A hub model's folder in a mirror; None where the mirror lacks the model.

    Raises SourceError where the mirror has another revision.
    """
    manifest = Path(data_dir) / MANIFEST if data_dir is not None else None
    if model.hub is None or manifest is None or not manifest.is_file():
        return None
    entry = read_json(manifest).get("models", {}).get(model.hub)
    if entry is None:
        return None
    if model.revision not in (None, entry["revision"], entry["commit"]):
        raise SourceError(
            f"model '{model.name}': expected revision '{model.revision}' of {model.hub}, "
            f"found '{entry['revision']}' (commit {entry['commit']}) in the mirror; fill the mirror again"
        )
    return manifest.parent / entry["folder"], {key: entry[key] for key in ("hub", "revision", "commit")}


def _downloaded(repository: Repository, client: HubClient) -> Path:
    """The cache's folder of this commit, with everything needed; pickled weights are not downloaded."""
    files = client.files(repository)
    if "config.json" not in files:
        raise SourceError(f"{repository}: no config.json, so this is not a transformers model")
    config = client.download(repository, "config.json")
    weights = _weight_files(set(files), str(repository), lambda name: client.download(repository, name))
    for name in (*(name for name in TOKENIZER_FILES if name in files), *weights):
        logger.info("%s: %s (%d bytes)", repository, name, files.get(name, 0))
        client.download(repository, name)
    return config.parent


def _weight_files(names: set[str], shown: str, fetch: Any) -> list[str]:
    """The safetensors files of a model, its index included; SourceError where there are none."""
    if WEIGHTS in names:
        return [WEIGHTS]
    if INDEX in names:
        shards = sorted(set(read_json(fetch(INDEX))["weight_map"].values()))
        absent = [shard for shard in shards if shard not in names]
        if absent:
            raise SourceError(f"{shown}: {INDEX} names {absent[0]}, which is not there")
        return [INDEX, *shards]
    pickled = sorted(name for name in names if name.endswith(PICKLED))
    found = f"only pickled ones ({', '.join(pickled[:3])})" if pickled else "none"
    raise SourceError(
        f"{shown}: expected weights in {WEIGHTS}, found {found}; loading a pickle can run any code. "
        "Name a revision that has safetensors (the hub's conversion bot offers them as refs/pr/…), or set "
        "`convert: true` for this model"
    )


def _checked_config(folder: Path, name: str) -> Mapping[str, Any]:
    try:
        config: Mapping[str, Any] = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise SourceError(f"model '{name}': no readable config.json in {folder} ({error})") from error
    for file in ("config.json", "tokenizer_config.json"):
        settings = read_json(folder / file) if (folder / file).is_file() else {}
        if settings.get("auto_map") and config.get("model_type") not in TAKEN_OVER:
            asked = ", ".join(sorted(settings["auto_map"]))
            raise SourceError(
                f"model '{name}': {file} needs the repository's own code (auto_map: {asked}); "
                "remote code is never run. Choose a model that transformers knows"
            )
    return config


def _write_tokenizer(folder: Path, out: Path, config: Mapping[str, Any], name: str) -> None:
    from transformers import AutoTokenizer

    with library_errors(f"model '{name}': its tokenizer cannot be read from {folder}"):
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False, local_files_only=True)
    if not getattr(tokenizer, "is_fast", False):
        raise SourceError(f"model '{name}': its tokenizer has no fast form (tokenizer.json), which spans and tags need")
    backend = tokenizer.backend_tokenizer
    size, places = (
        backend.get_vocab_size(with_added_tokens=False),
        text_part(config).get("vocab_size") or len(tokenizer),
    )
    if size > places:
        raise SourceError(
            f"model '{name}': its tokenizer has {size} pieces, its embeddings {places}; they do not belong together"
        )
    layout = {**special_tokens(tokenizer, places), **reading(config)}
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        backend.save(str(temporary / "tokenizer.json"))
        if len(tokenizer) > places:
            _drop_added(temporary / "tokenizer.json", places)
        write_json(layout, temporary / "special_tokens.json")


def _drop_added(path: Path, places: int) -> None:
    """Remove tokens that were added to a tokenizer but have no embedding: a [PAD] of decoders, an image token.

    A text that spells such a token is then split into ordinary pieces.
    """
    content = read_json(path)
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < places]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def reading(config: Mapping[str, Any]) -> dict[str, Any]:
    """Reading direction and default pooling of a model, for `special_tokens.json`."""
    return {"causal": objective(config) == CAUSAL, "pooling": default_pooling(config)}


def special_tokens(tokenizer: Any, places: int) -> dict[str, Any]:
    """The special tokens that a tokenizer puts around one and two segments (see `tokenization`), found on two words.

    A tokenizer that adds nothing at the end (GPT-2, Qwen, Llama, Gemma) gets its end-of-text token after each
    segment, so that the last state is that of the same token for every text (as in Radford et al. 2018 and Wang et
    al. 2024). Padding is masked, so any id serves where there is no padding token among the model's `places`
    embeddings. Raises SourceError for a tokenizer that treats pairs differently from single texts.
    """
    first, second = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("one", "two"))
    prefix, suffix = _around(tokenizer("one")["input_ids"], first)
    pair = tokenizer("one", "two")
    both = pair["input_ids"]
    before, rest = _around(both, first)
    middle, end = _around(rest, second)
    if before != prefix or end != suffix:
        raise SourceError(
            f"its tokenizer puts other special tokens around pairs ({before} … {end}) than around single texts "
            f"({prefix} … {suffix}), which is not supported"
        )
    types = [0] * len([*before, *first, *middle]) + [1] * len([*second, *end])
    if not suffix and tokenizer.eos_token_id is not None:
        suffix = [tokenizer.eos_token_id]
        middle = suffix if middle in ([], prefix) else middle
    pads = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    pad = next((item for item in pads if item is not None and item < places), 0)
    return {
        "pad": pad,
        "mask": tokenizer.mask_token_id,
        "prefix": prefix,
        "middle": middle,
        "suffix": suffix,
        "segments": pair.get("token_type_ids") == types,
    }


def _around(whole: Sequence[int], inner: Sequence[int]) -> tuple[list[int], list[int]]:
    """The items before and after the first occurrence of `inner`."""
    for start in range(len(whole) - len(inner) + 1):
        if list(whole[start : start + len(inner)]) == list(inner):
            return list(whole[:start]), list(whole[start + len(inner) :])
    raise SourceError("its tokenizer splits a text differently inside special tokens, which is not supported")


def _write_backbone(folder: Path, out: Path, name: str) -> None:
    """Write config.json and one model.safetensors with the headless model's weights, in their original dtype."""
    from transformers import AutoConfig

    from stiltgrid.modeling.backbone import auto_class, model_options

    saved = read_json(folder / "config.json")
    with library_errors(f"model '{name}': it cannot be read from {folder}"):
        names = _weight_files({path.name for path in folder.iterdir()}, str(folder), lambda item: folder / item)
        for weights in names:
            if weights.endswith(".safetensors"):
                verify_weights(folder / weights)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model, report = auto_class(config).from_pretrained(
            folder,
            config=config,
            dtype="auto",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **model_options(config),
        )
    gaps = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if gaps:
        raise SourceError(f"model '{name}': {len(gaps)} backbone weights are missing, among them {', '.join(gaps[:3])}")
    if text_part(saved) is not saved:  # a multimodal model: the language model only
        model = model.get_decoder()
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        model.save_pretrained(temporary, max_shard_size="10TB")
        seal_weights(temporary / WEIGHTS)
        for extra in temporary.iterdir():
            if extra.name not in ("config.json", WEIGHTS):
                shutil.rmtree(extra) if extra.is_dir() else extra.unlink()
