"""Fetching backbones: from the stand-in hub and from folders, weights and tokenizer in the grid's own form."""

import json
from pathlib import Path

import pytest
from architectures import DISENTANGLED, PAIR, TEXTS, write_folder
from stand_in_hub import StandInHub
from stiltgrid.data.sources.client import HubClient
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.preparation.models import fetch_model, special_tokens
from stiltgrid.utils.errors import SourceError

SENTENCES = ["one small boat in the harbour", "two bakers sell rye bread", "ein kleines Boot im Hafen"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def build_tokenizer(template: bool = True, special: bool = True):  # noqa: ANN201 - transformers' own class
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=80, special_tokens=SPECIAL))
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    if special:
        names |= {"pad_token": "<pad>", "mask_token": "<mask>", "cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny XLM-R with a language-model head, as AutoModelForMaskedLM saves it."""
    import torch
    from transformers import AutoModelForMaskedLM, XLMRobertaConfig

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("tiny")
    config = XLMRobertaConfig(
        vocab_size=100, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    AutoModelForMaskedLM.from_config(config).save_pretrained(path)
    build_tokenizer().save_pretrained(path)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_hub_model_becomes_backbone_tokenizer_and_provenance(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    commit = hub.repository("made/tiny", "model").commit(files_of(folder))
    fetch_model(Model("tiny", hub="made/tiny", revision="main"), tmp_path, client=HubClient(0.01))
    weights = load_file(tmp_path / "backbone" / "model.safetensors")
    whole = load_file(folder / "model.safetensors")
    assert sorted(path.name for path in (tmp_path / "backbone").iterdir()) == ["config.json", "model.safetensors"]
    assert set(weights) == {key.removeprefix("roberta.") for key in whole if key.startswith("roberta.")}
    assert all((weights[key] == whole[f"roberta.{key}"]).all() for key in weights)
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert provenance == {"model": "tiny", "hub": "made/tiny", "revision": "main", "commit": commit}


def test_the_tokenizer_wraps_as_the_models_own(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    fetch_model(Model("tiny", path=str(folder)), tmp_path)
    mine, own = SubwordTokenizer(tmp_path / "tokenizer"), build_tokenizer()
    first, second = mine.ids(["one small boat", "two bakers"])
    assert mine.join(first) == own("one small boat")["input_ids"]
    assert mine.join(first, second) == own("one small boat", "two bakers")["input_ids"]
    assert (mine.pad, mine.mask, mine.prefix, mine.middle, mine.suffix) == (1, 4, [0], [2, 2], [2])


def test_a_tokenizer_without_special_tokens_ends_segments_with_its_end_of_text() -> None:
    layout = special_tokens(build_tokenizer(template=False, special=False), 100)
    assert layout == {"pad": 2, "mask": None, "prefix": [], "middle": [2], "suffix": [2], "segments": False}


def test_the_backbone_loads_where_the_grid_loads_it(folder: Path, tmp_path: Path) -> None:
    from stiltgrid.modeling.backbone import load_backbone

    fetch_model(Model("tiny", path=str(folder)), tmp_path)
    assert load_backbone(tmp_path / "backbone").hidden_size == 16


def test_weights_in_shards_become_one_file(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    files = files_of(folder)
    whole = load_file(folder / "model.safetensors")
    names = sorted(whole)
    halves = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    del files["model.safetensors"]
    for file, keys in halves.items():
        save_file({key: whole[key] for key in keys}, tmp_path / file, metadata={"format": "pt"})
        files[file] = (tmp_path / file).read_bytes()
    weight_map = {key: file for file, keys in halves.items() for key in keys}
    files["model.safetensors.index.json"] = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    hub.repository("made/tiny", "model").commit(files)
    fetch_model(Model("tiny", hub="made/tiny", revision="main"), tmp_path / "out", client=HubClient(0.01))
    assert (tmp_path / "out" / "backbone" / "model.safetensors").stat().st_size > 10_000


def test_pickled_weights_are_refused_and_never_fetched(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    files = files_of(folder)
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    hub.repository("made/pickled", "model").commit(files)
    with pytest.raises(SourceError, match=r"only pickled ones \(pytorch_model.bin\)"):
        fetch_model(Model("pickled", hub="made/pickled", revision="main"), tmp_path, client=HubClient(0.01))
    assert hub.count("pytorch_model.bin") == 0
    assert not (tmp_path / "backbone").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(hub: StandInHub, folder: Path, tmp_path: Path, file: str) -> None:
    files = files_of(folder)
    settings = json.loads(files[file]) | {"auto_map": {"AutoModel": "modeling_made.MadeModel"}}
    files[file] = json.dumps(settings).encode()
    files["modeling_made.py"] = b"raise SystemExit('remote code was run')"
    hub.repository("made/remote", "model").commit(files)
    with pytest.raises(SourceError, match=f"{file} needs the repository's own code .auto_map: AutoModel."):
        fetch_model(Model("remote", hub="made/remote", revision="main"), tmp_path, client=HubClient(0.01))
    assert hub.count("modeling_made.py") == 0


def test_a_pinned_model_stays_when_its_branch_moves(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    repository = hub.repository("made/tiny", "model")
    first = repository.commit(files_of(folder))
    repository.commit({"config.json": "{}"})
    fetch_model(Model("tiny", hub="made/tiny", revision=first), tmp_path, client=HubClient(0.01))
    assert json.loads((tmp_path / "provenance.json").read_text())["commit"] == first


def test_missing_backbone_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    holed = tmp_path / "holed"
    holed.mkdir()
    for name, content in files_of(folder).items():
        (holed / name).write_bytes(content)
    weights = load_file(folder / "model.safetensors")
    del weights["roberta.encoder.layer.1.output.dense.weight"]
    save_file(weights, holed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SourceError, match="1 backbone weights are missing, among them .*layer.1.output.dense.weight"):
        fetch_model(Model("holed", path=str(holed)), tmp_path / "out")


def test_a_truncated_weights_file_is_refused(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    for name, content in files_of(folder).items():
        (cut / name).write_bytes(content[:-200] if name.endswith(".safetensors") else content)
    with pytest.raises(SourceError, match="model 'cut': .*not a whole safetensors file"):
        fetch_model(Model("cut", path=str(cut)), tmp_path / "out")


def test_a_foreign_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for name, content in files_of(folder).items():
        (mixed / name).write_bytes(content)
    config = json.loads((mixed / "config.json").read_text()) | {"vocab_size": 20}
    (mixed / "config.json").write_text(json.dumps(config))
    with pytest.raises(SourceError, match="its tokenizer has 8. pieces, its embeddings 20"):
        fetch_model(Model("mixed", path=str(mixed)), tmp_path / "out")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="model 'lost': expected a folder at .*nowhere"):
        fetch_model(Model("lost", path=str(tmp_path / "nowhere")), tmp_path)


PIECES = {
    "deberta-v2": ("spm.model", "DebertaV2Tokenizer", {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3,
                   "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}),
    "mt5": ("spiece.model", "T5Tokenizer", {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}),
}  # fmt: skip


@pytest.mark.parametrize("kind", PIECES)
def test_a_sentencepiece_model_becomes_a_fast_tokenizer(kind: str, tmp_path: Path) -> None:
    """As mDeBERTa and mT5 are published: no tokenizer.json. The SentencePiece library itself says what is right."""
    import io

    import sentencepiece
    from transformers import AutoConfig, AutoModel

    name, tokenizer_class, ids = PIECES[kind]
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=file, vocab_size=250, hard_vocab_limit=False, minloglevel=2, **ids
    )
    folder = tmp_path / "original"
    shape = DISENTANGLED if kind == "deberta-v2" else PAIR
    AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=400, **shape)).save_pretrained(folder)
    (folder / name).write_bytes(file.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
    fetch_model(Model(kind, path=str(folder)), tmp_path)
    ours, theirs = (
        SubwordTokenizer(tmp_path / "tokenizer"),
        sentencepiece.SentencePieceProcessor(model_proto=file.getvalue()),
    )
    texts = ["The old lighthouse didn't turn", "老灯塔建于一八七四年", "rye-bread 1874 ประภาคาร"]
    assert ours.ids(texts) == [theirs.encode(text) for text in texts]
    assert (ours.prefix, ours.middle, ours.suffix) == (([1], [2], [2]) if kind == "deberta-v2" else ([], [1], [1]))


def test_tokens_that_the_model_has_no_vector_for_are_left_out(tmp_path: Path) -> None:
    """As decoders are often published: padding was added to the tokenizer and never to the model."""
    published = write_folder("gpt2", tmp_path / "original")
    size = len(published)
    published.add_special_tokens({"pad_token": "[PAD]"})
    published.save_pretrained(tmp_path / "original")
    assert published("one [PAD]")["input_ids"][-1] == size
    fetch_model(Model("any", path=str(tmp_path / "original")), tmp_path)
    ours = SubwordTokenizer(tmp_path / "tokenizer")
    assert ours.pad == published.eos_token_id < size == ours.vocabulary_size
    assert max(ours.ids(["one [PAD] two"])[0]) < size
    assert ours.ids(["one two"])[0] == published("one two", add_special_tokens=False)["input_ids"]
