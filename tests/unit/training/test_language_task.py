"""Language modelling beside tasks: what is masked, where its steps fall, which head it uses, and what is kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from stiltgrid.data.raw_text import SCHEMA
from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.grid import Model, Recipe, TrainingSettings
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.language_heads import build_language_head, fetch_language_head
from stiltgrid.training.language_task import (
    NO_TARGET,
    LanguageObjective,
    LanguageOrder,
    encode_text,
    interleaved,
    load_language_task,
)
from stiltgrid.training.training import train_intermediate
from stiltgrid.utils.errors import SourceError
from tiny_models import MODEL, SHAPE, sequence_card, with_settings, write_backbone, write_task
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

MLM = {"languages": ["de", "en"], "rate": 0.5, "batch_size": 4}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_tokenizer_folder):
    folder = tmp_path_factory.mktemp("language")
    write_backbone(folder / "backbone", tiny_tokenizer_folder)
    texts = [("de", "Der alte Leuchtturm steht über dem Hafen."), ("en", "The old lighthouse stands on a cliff.")]
    rows = [{"language": code, "text": text} for code, text in texts for _ in range(30 if code == "en" else 10)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "text.parquet")
    encode_text(folder / "text.parquet", tiny_tokenizer_folder, folder / "text.arrow", 24, folder / "backbone")
    return folder


@pytest.fixture(scope="module")
def causal_tokenizer(tiny_tokenizer_folder, tmp_path_factory):
    """The tiny tokenizer of a model that reads from left to right and has no mask."""
    folder = tmp_path_factory.mktemp("causal")
    (folder / "tokenizer.json").write_bytes((tiny_tokenizer_folder / "tokenizer.json").read_bytes())
    layout = {"pad": 1, "mask": None, "prefix": [], "middle": [2], "suffix": [2], "causal": True, "pooling": "last"}
    (folder / "special_tokens.json").write_text(json.dumps(layout))
    return folder


def task_of(place: Path, tokenizer: Path, **mlm):
    special = read_special_tokens(tokenizer)
    return load_language_task({**MLM, **mlm}, place / "text.arrow", None, TrainingSettings(), special, 1)


def reader_of(tokenizer: Path) -> Reader:
    return Reader(read_special_tokens(tokenizer), Model("tiny", pooling="mean"))


def test_texts_become_rows_of_one_length_with_a_language_each(place) -> None:
    encoded = read_encoded(place / "text.arrow")
    assert set(encoded.lengths) == {24}
    counts = np.bincount(encoded.scalars["language"])
    assert json.loads(encoded.table.schema.metadata[b"languages"]) == ["de", "en"] and counts[1] > 2 * counts[0]


def test_a_tokenizer_without_a_mask_is_refused_before_any_training(place, causal_tokenizer, tmp_path) -> None:
    layout = json.loads((causal_tokenizer / "special_tokens.json").read_text())
    (tmp_path / "tokenizer.json").write_bytes((causal_tokenizer / "tokenizer.json").read_bytes())
    (tmp_path / "special_tokens.json").write_text(json.dumps({**layout, "causal": False}))
    with pytest.raises(SourceError, match="no mask token, which masked language modelling"):
        encode_text(place / "text.parquet", tmp_path, tmp_path / "out.arrow", 24, None)
    encode_text(place / "text.parquet", causal_tokenizer, tmp_path / "out.arrow", 24, None)


def test_masks_follow_seed_step_and_row_whatever_the_micro_batches(place, tiny_tokenizer_folder) -> None:
    task, reader = task_of(place, tiny_tokenizer_folder, mask_rate=0.4), reader_of(tiny_tokenizer_folder)
    whole = task.batch(reader, np.arange(8), 5)
    parts = [task.batch(reader, rows, 5) for rows in (np.arange(3), np.arange(3, 8))]
    assert torch.equal(whole.input_ids, torch.cat([part.input_ids for part in parts]))
    assert torch.equal(whole.tokens["target"], torch.cat([part.tokens["target"] for part in parts]))
    assert not torch.equal(whole.input_ids, task.batch(reader, np.arange(8), 6).input_ids), "drawn anew at each step"
    target = whole.tokens["target"].reshape(8, 24)
    asked = target != NO_TARGET
    assert asked.sum().item() == task.loss_weight(np.arange(8), 5) and 0.2 < asked.float().mean() < 0.5
    original = torch.from_numpy(task.train.tokens["input_ids"][: 8 * 24].astype(np.int64)).reshape(8, 24)
    assert torch.equal(target[asked], original[asked]) and torch.equal(whole.input_ids[~asked], original[~asked])
    shares = (whole.input_ids[asked] == 4).float().mean()
    assert 0.6 < shares < 0.95, "four fifths of the chosen tokens are masked"
    assert not torch.isin(original[asked], torch.tensor([0, 1, 2, 4])).any(), "special tokens are not asked for"


def test_vocabulary_scores_are_computed_for_predicted_tokens_only(place, tiny_tokenizer_folder) -> None:
    batch = task_of(place, tiny_tokenizer_folder, mask_rate=0.3).batch(
        reader_of(tiny_tokenizer_folder), np.arange(8), 1
    )
    head, hidden, seen = torch.nn.Linear(6, 90), torch.randn(8, 24, 6), []
    head.register_forward_hook(lambda module, given, scores: seen.append(len(scores)))
    target = batch.tokens["target"] % 90  # NO_TARGET aside, whose places are left out below
    asked = batch.tokens["target"] != NO_TARGET
    batch = replace(batch, tokens={"target": torch.where(asked, target, NO_TARGET)})
    loss = LanguageObjective().loss(None, head, hidden, batch)
    assert seen == [int(asked.sum())] and seen[0] < 0.5 * batch.real_tokens
    everywhere = torch.nn.functional.cross_entropy(
        head(hidden.flatten(0, 1)), torch.where(asked, target, -100), reduction="sum"
    )
    torch.testing.assert_close(loss, everywhere)


def test_decoders_predict_the_next_token(place, causal_tokenizer) -> None:
    task = task_of(place, causal_tokenizer)
    batch = task.batch(reader_of(causal_tokenizer), np.asarray([2]), 1)
    target = batch.tokens["target"].reshape(1, 24)
    assert torch.equal(target[:, :-1], batch.input_ids[:, 1:]) and target[0, -1] == NO_TARGET
    assert task.loss_weight(np.asarray([2]), 1) == 23


def test_languages_are_drawn_by_a_power_of_their_size_and_exhausted_before_they_repeat() -> None:
    languages = np.repeat([0, 1], [100, 900])
    taken = LanguageOrder(languages, 0.5, 3).take(1000)
    share = (languages[taken] == 0).mean()
    assert abs(share - 0.25) < 0.05
    small = taken[languages[taken] == 0]
    assert len(np.unique(small)) == 100 and np.unique(small, return_counts=True)[1].max() <= 4
    again = LanguageOrder(languages, 0.5, 3)
    assert np.array_equal(np.concatenate([again.take(400), again.take(600)]), taken)


def test_a_rate_is_a_share_of_all_steps_and_keeps_the_order_of_the_others() -> None:
    schedule = np.asarray([0, 1, 1, 0, 1, 0] * 50)
    mixed = interleaved(schedule, 2, {"rate": 0.25}, 7)
    assert len(mixed) == 400 and (mixed == 2).sum() == 100
    assert np.array_equal(mixed[mixed != 2], schedule)
    assert len(interleaved(schedule, 2, {"steps": 9}, 7)) == 309
    assert interleaved(schedule[:0], 0, {"steps": 3}, 7).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "load", "shape"),
    [
        ("xlm-roberta", AutoModelForMaskedLM, SHAPE),
        ("bert", AutoModelForMaskedLM, {**SHAPE, "type_vocab_size": 2}),
        ("gpt2", AutoModelForCausalLM, GPT2),
        ("llama", AutoModelForCausalLM, {**SHAPE, "num_key_value_heads": 2}),
    ],
)
def test_a_checkpoints_own_head_gives_its_own_scores(kind, load, shape, tmp_path, tiny_tokenizer) -> None:
    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, vocab_size=tiny_tokenizer.vocabulary_size, pad_token_id=1, **shape)
    model = load.from_config(config).eval()
    for parameter in model.parameters():  # heads start with zeros, which would prove nothing
        torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(tmp_path / "whole")
    fetch_language_head(Model("m", path=str(tmp_path / "whole")), tmp_path / "head.safetensors")
    options = {"add_pooling_layer": False} if kind in ("xlm-roberta", "bert") else {}
    AutoModel.from_pretrained(tmp_path / "whole", **options).save_pretrained(tmp_path / "backbone")
    backbone = load_backbone(tmp_path / "backbone").eval()
    head = build_language_head(backbone, tmp_path / "head.safetensors").eval()
    assert head.origin == "pretrained"
    ids = torch.tensor([[5, 9, 4, 12]])
    with torch.no_grad():
        expected = model(ids).logits
        states = backbone.model(ids).last_hidden_state
    torch.testing.assert_close(head(states), expected)
    tied = any(item is backbone.token_embeddings.weight for item in head.parameters())
    assert tied == (kind != "llama"), "tied to the embeddings as the model's own class ties them"


def test_a_backbone_alone_gets_a_new_head_and_other_weights_are_refused(place, tmp_path) -> None:
    backbone = load_backbone(place / "backbone")
    save_file({}, tmp_path / "none.safetensors")
    for path in (None, tmp_path / "none.safetensors"):
        assert build_language_head(backbone, path).origin == "new"
    save_file({"lm_head.bias": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(SourceError, match="'lm_head.bias' has shape"):
        build_language_head(backbone, tmp_path / "foreign.safetensors")


def test_only_the_backbone_is_kept_after_language_modelling_beside_a_task(place, tiny_tokenizer_folder, tmp_path):
    toy = write_task(tmp_path / "toy", tiny_tokenizer_folder, sequence_card())
    task = with_settings(toy, epochs=2, evaluate_every=6, dev_share=None)

    def trained(name: str, tasks: list, **more):
        recipe = {**as_params(Recipe(name, tuple("toy" for _ in tasks), **more)), "text": str(place / "text.arrow")}
        settings = as_params(TrainingSettings(learning_rate=3e-3, batch_size=16))
        out = tmp_path / name
        paths, job = TrainingPaths(place / "backbone", tiny_tokenizer_folder, out), TrainingJob(MODEL, tasks, seed=1)
        train_intermediate(paths, job, recipe, None if tasks else settings)
        record = json.loads((out / "training.json").read_text())["stages"][0]
        return load_file(out / "model.safetensors"), record, (out / "log.jsonl").read_text()

    before = load_file(place / "backbone/model.safetensors")
    weights, record, log = trained("toy+mlm", [task], mlm=MLM)
    assert weights.keys() == before.keys(), "the head is left behind"
    assert {entry["name"]: entry["steps"] for entry in record["tasks"]} == {"toy": 12, "mlm": 12}
    assert record["tasks"][1]["head"] == "new"
    assert all(entry["dev"].keys() == {"toy"} for entry in record["evaluations"]), "early stopping follows the tasks"
    losses = [json.loads(line) for line in log.splitlines() if '"mlm"' in line and '"loss"' in line]
    values = [line["loss"] for line in losses]
    assert len(values) == 12 and abs(values[0] - np.log(260)) < 0.5 and values[-1] < values[0]
    name = "embeddings.word_embeddings.weight"
    assert not torch.equal(weights[name][150:200], before[name][150:200]), "scoring reaches pieces of no input"
    again, _, _ = trained("toy+mlm", [task], mlm=MLM)
    assert all(torch.equal(again[key], value) for key, value in weights.items())
    _, record, _ = trained("alone", [], mlm={"languages": ["de", "en"], "steps": 40, "batch_size": 4})
    assert record["steps"] == 40 and record["best_score"] is None
