"""Two models in one run: a decoder pretrained here, like an encoder but for its reading, and one from the mirror."""

import json
from collections.abc import Iterator

import pytest
import torch
from architectures import write_folder
from repository import GRID, Repository, counts
from safetensors.torch import load_file

MODELS = {
    "tiny": GRID["models"]["tiny"],
    "twin": {"like": "tiny", "pretrain": {"objective": "causal"}},
}
# Frozen embeddings in the row's stage, adapters in the target's.
CHANGES = {
    "intermediates": ["none", "mnli"],
    "targets": ["xnli", "tatoeba"],
    "training": {
        "all": {"max_steps": 2, "batch_size": 4, "freeze": "embeddings"},
        "target": {"freeze": None, "lora": {"rank": 2}},
    },
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    repository = Repository(tmp_path_factory.mktemp("models"))
    mirror = repository.folder / "tests/data/mirror"
    write_folder("gpt2", mirror / "models/made--gpt2")
    record = {"hub": "made/gpt2", "revision": "main", "commit": "a" * 40, "folder": "models/made--gpt2"}
    (mirror / "mirror.json").write_text(json.dumps({"rows": {}, "models": {"made/gpt2": record}}))
    gpt2 = {"hub": "made/gpt2", "revision": "a" * 40}
    # A folder with pickled weights, which are converted first.
    write_folder("eurobert", repository.folder / "own")
    weights = repository.folder / "own/model.safetensors"
    torch.save(load_file(weights), repository.folder / "own/pytorch_model.bin")
    weights.unlink()
    pickled = {"path": "own", "convert": True}
    models = {"twin": MODELS["twin"], "tiny": MODELS["tiny"], "gpt2": gpt2, "pickled": pickled}
    repository.configure({**GRID, **CHANGES, "models": models})
    targets = [
        f"results/scores/{model}/{row}/{target}/seed1/metrics.json"
        for model in ("twin", "gpt2")
        for row in CHANGES["intermediates"]
        for target in CHANGES["targets"]
    ]
    # The head for rows with language modelling, which comes from the same checkpoint.
    targets += [f"results/models/{model}/language_head.safetensors" for model in ("gpt2", "pickled")]
    targets.append("results/models/pickled/backbone/config.json")
    said = repository.snakemake("convert_model")
    (repository.folder / "said.txt").write_text(said.stdout, encoding="utf-8")
    # No server answers there: what a mirror has is not requested from the hub.
    repository.first = repository.run(*targets, env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert repository.pending(*targets) == []
    yield repository


def test_both_go_through_the_whole_way(pair: Repository) -> None:
    found = counts(pair.first)
    assert (found["fetch_model"], found["fetch_language_head"], found["pretrain_backbone"]) == (2, 2, 1)
    assert (found["train_intermediate"], found["train_target"], found["score_target"]) == (2, 4, 8)


def test_pickled_weights_are_converted_once_for_all_that_read_them(pair: Repository) -> None:
    """By the target `convert_model`, which says what it did; the grid finds its result."""
    assert (pair.folder / "said.txt").read_text().count("\nconverted  pickled: ") == 1
    assert "convert_weights" not in counts(pair.first)
    record = json.loads((pair.folder / "results/models/pickled/converted/conversion.json").read_text())
    provenance = json.loads((pair.folder / "results/models/pickled/provenance.json").read_text())
    assert provenance["converted"] == record and record["model"] == "pickled"
    assert (pair.folder / "logs/models/pickled/convert.log").read_text().count("are now in") == 1
    assert not pair.pending("convert_model")


def test_what_the_mirror_holds_is_not_asked_of_the_hub(pair: Repository) -> None:
    provenance = json.loads((pair.folder / "results/models/gpt2/provenance.json").read_text())
    assert provenance == {"model": "gpt2", "hub": "made/gpt2", "revision": "main", "commit": "a" * 40}


@pytest.mark.parametrize("model", ["twin", "gpt2"])
def test_decoders_are_read_as_decoders(pair: Repository, model: str) -> None:
    layout = json.loads((pair.folder / f"results/models/{model}/tokenizer/special_tokens.json").read_text())
    assert layout["causal"] and layout["pooling"] == "last"


def test_the_record_says_what_was_trained(pair: Repository) -> None:
    records = {
        stage: json.loads((pair.folder / f"results/{stage}/twin/mnli/{rest}seed1/training.json").read_text())["stages"]
        for stage, rest in (("intermediate", ""), ("tuned", "mnli/"))
    }
    assert records["intermediate"][0]["settings"]["freeze"] == "embeddings"
    assert records["tuned"][0]["settings"]["lora"] == {"rank": 2}
    assert records["tuned"][0]["trained_parameters"] < records["intermediate"][0]["trained_parameters"]


def test_adapters_of_the_target_stage_train_no_row_again(pair: Repository) -> None:
    training = {**CHANGES["training"], "target": {"freeze": None, "lora": {"rank": 3}}}
    models = {"twin": MODELS["twin"], "tiny": MODELS["tiny"]}
    with pair.configured(**{**CHANGES, "models": models, "training": training}):
        path = "results/scores/twin/mnli/xnli/seed1/metrics.json"
        assert counts(pair.pending(path)) == {"train_target": 1, "score_target": 1}
