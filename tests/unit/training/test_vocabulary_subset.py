"""Rows of the vocabulary that a stage's data do not hold: the same training as with them, without their cost."""

import json

import numpy as np
import pytest
import torch
from architectures import KINDS, write_folder
from nervous import Nervous
from safetensors.torch import load_file
from stiltgrid.grid.grid import Model, Recipe
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.preparation.models import fetch_model
from stiltgrid.training import trainable
from stiltgrid.training.resume import SUFFIX, Interrupted
from stiltgrid.training.stage import Stage
from stiltgrid.training.training import train_intermediate
from stiltgrid.training.vocabulary_subset import UsedRows, cut_to_used, decay_left
from tiny_models import MODEL, sequence_card, with_settings, write_task
from transformers import AutoModel

TABLE = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def toy(place, tiny_tokenizer_folder):
    """Fifty steps with weight decay."""
    task = write_task(place / "toy", tiny_tokenizer_folder, sequence_card(), train=400)
    more = {"batch_size": 8, "evaluate_every": 10, "patience": None, "dev_share": None, "weight_decay": 0.1}
    return with_settings(task, max_steps=50, epochs=20.0, learning_rate=0.003, **more)


def train(place, tokenizer, tasks, out, optimizer="adamw", keeper=None):
    """Weights after a row's training, its record, the losses of all steps."""
    tasks = [{**task, "settings": {**task["settings"], "optimizer": optimizer}} for task in tasks]
    recipe = as_params(Recipe("mix", tuple(task["card"]["name"] for task in tasks)))
    train_intermediate(place / "backbone", tokenizer, recipe, tasks, MODEL, 1, 1, out, {}, keeper=keeper)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    record = json.loads((out / "training.json").read_text())["stages"][0]
    return load_file(out / "model.safetensors"), record, [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_losses_and_all_weights_are_those_of_the_whole_table(
    place, toy, tiny_tokenizer_folder, tmp_path, monkeypatch, optimizer
):
    cuts = []
    monkeypatch.setattr(trainable, "cut_to_used", lambda *given: cuts.append(cut_to_used(*given)) or cuts[-1])
    weights, record, losses = train(place, tiny_tokenizer_folder, [toy], tmp_path / "cut", optimizer)
    assert len(cuts) == 1 and 10 < len(cuts[0].rows) < 0.5 * cuts[0].whole[0].num_embeddings
    monkeypatch.setattr(trainable, "cut_to_used", lambda *given: None)
    plain_weights, plain_record, plain_losses = train(
        place, tiny_tokenizer_folder, [toy], tmp_path / "whole", optimizer
    )
    assert len(losses) == 50 and losses == pytest.approx(plain_losses, abs=1e-5)
    assert record["best_step"] == plain_record["best_step"]
    assert record["trained_parameters"] == plain_record["trained_parameters"]
    for name, value in plain_weights.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5, msg=name)
    before = load_file(place / "backbone" / "model.safetensors")[TABLE]
    unused = np.setdiff1d(np.arange(len(before)), cuts[0].rows)
    assert not torch.equal(weights[TABLE][unused], before[unused]), "weight decay reaches them"
    torch.testing.assert_close(weights[TABLE][unused], plain_weights[TABLE][unused], rtol=1e-5, atol=1e-8)


def test_the_best_step_is_what_the_other_rows_have_decayed_to(place, toy, tiny_tokenizer_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Stage, "_dev_score", lambda stage, task, count: -abs(stage.state.step - 30.0))
    weights, record, _ = train(place, tiny_tokenizer_folder, [toy], tmp_path / "cut")
    assert (record["best_step"], record["steps"]) == (30, 50)
    before, settings = load_file(place / "backbone" / "model.safetensors")[TABLE], record["settings"]
    warmup, rates = round(50 * settings["warmup_share"]), []
    for step in range(record["best_step"]):
        share = (step + 1) / (warmup + 1) if step < warmup else (50 - step) / (50 - warmup)
        rates.append(share * settings["learning_rate"])
    left = weights[TABLE][-1] / before[-1]
    assert left.tolist() == pytest.approx([decay_left(rates, 0.1)] * len(left), rel=1e-5)


def test_no_row_that_does_not_occur_has_a_gradient_or_moments(place, toy, tiny_tokenizer_folder, tmp_path):
    state = tmp_path / f"job{SUFFIX}"
    with pytest.raises(Interrupted):
        train(place, tiny_tokenizer_folder, [toy], tmp_path / "out", keeper=Nervous(state, 5))
    rows = len(load_file(place / "backbone" / "model.safetensors")[TABLE])
    assert all(rows not in value.shape for value in load_file(state).values())


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_is_read_alike_or_left_alone(kind, tmp_path):
    write_folder(kind, tmp_path / "published")
    fetch_model(Model(kind, path=str(tmp_path / "published")), tmp_path / "fetched")
    backbone = load_backbone(tmp_path / "fetched" / "backbone").eval()
    used = np.asarray([5, 7, 11, 20])
    ids = torch.as_tensor([[5, 11, 20, 7, 7, 5]])
    with torch.no_grad():
        whole = backbone.reader(ids).last_hidden_state
        cut = cut_to_used(backbone.reader, used)
        if cut is None:
            assert type(backbone.token_embeddings) is not torch.nn.Embedding, "a table with a look-up of its own"
        else:
            assert backbone.token_embeddings is cut and not cut.whole[0].weight.requires_grad
            with pytest.raises(IndexError):
                backbone.reader(torch.as_tensor([[6]]))
        assert torch.equal(backbone.reader(ids).last_hidden_state, whole)


def test_a_table_that_is_mostly_used_or_frozen_is_left_whole(place):
    model = AutoModel.from_pretrained(place / "backbone", add_pooling_layer=False)
    table = model.get_input_embeddings()
    half = np.arange(table.num_embeddings // 2 + 1)
    assert cut_to_used(model, half) is None
    assert isinstance(cut_to_used(model, half[:-2]), UsedRows)
    model.set_input_embeddings(table)
    assert cut_to_used(model, half[:4]) is None, "frozen: by the cut itself"


@pytest.mark.parametrize("part", [{"freeze": "embeddings"}, {"lora": {"rank": 2}}])
def test_data_are_not_searched_for_a_table_that_is_not_trained(
    place, toy, tiny_tokenizer_folder, tmp_path, monkeypatch, part
):
    monkeypatch.setattr("stiltgrid.training.training.used_ids", None)
    task = {**toy, "settings": {**toy["settings"], "max_steps": 2, **part}}
    assert train(place, tiny_tokenizer_folder, [task], tmp_path / "out")[1]["steps"] == 2
