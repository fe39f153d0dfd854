"""Training a subset of the embedding table gives the weights of training all of it."""

import json

import numpy as np
import pytest
import torch
from architectures import KINDS, write_folder
from safetensors.torch import load_file
from signalling_saver import SignallingSaver
from stages import ScriptedScores, run_stage
from stiltgrid.grid.grid import Model, Recipe
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.preparation.models import fetch_model
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.resume import SUFFIX, Interrupted
from stiltgrid.training.training import train_intermediate
from stiltgrid.training.vocabulary_subset import SubsetEmbedding, remaining_weight, use_subset
from tiny_models import MODEL, sequence_card, with_settings, write_task
from transformers import AutoModel

TABLE = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def toy(place, tiny_tokenizer_folder):
    """Fifty steps with weight decay."""
    task = write_task(place / "toy", tiny_tokenizer_folder, sequence_card(), train=400)
    more = {"batch_size": 8, "evaluate_every": 10, "patience": None, "dev_share": None, "weight_decay": 0.1}
    return with_settings(task, max_steps=50, epochs=20.0, learning_rate=0.003, **more)


def train(place, tokenizer, task, out, saver=None):
    """The record of a row's training."""
    recipe, paths = as_params(Recipe("toy", ("toy",))), TrainingPaths(place / "backbone", tokenizer, out)
    train_intermediate(paths, TrainingJob(MODEL, [task], seed=1), recipe, saver=saver)
    return json.loads((out / "training.json").read_text())["stages"][0]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_losses_and_all_weights_are_those_of_the_whole_table(place, toy, tiny_tokenizer_folder, optimizer):
    task = {**toy, "settings": {**toy["settings"], "optimizer": optimizer}}
    stage, weights = run_stage(place / "backbone", tiny_tokenizer_folder, task)
    whole, whole_weights = run_stage(place / "backbone", tiny_tokenizer_folder, task, subset=False)
    assert whole.subset is None and 10 < len(stage.subset.rows) < 0.5 * stage.subset.whole[0].num_embeddings
    losses, whole_losses = ([line["loss"] for line in each.state.log if "loss" in line] for each in (stage, whole))
    assert len(losses) == 50 and losses == pytest.approx(whole_losses, abs=1e-5)
    assert stage.state.best_step == whole.state.best_step
    assert stage.trained_parameters == whole.trained_parameters
    for name, value in whole_weights.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5, msg=name)
    before = load_file(place / "backbone" / "model.safetensors")[TABLE]
    unused = np.setdiff1d(np.arange(len(before)), stage.subset.rows)
    assert not torch.equal(weights[TABLE][unused], before[unused]), "weight decay reaches them"
    torch.testing.assert_close(weights[TABLE][unused], whole_weights[TABLE][unused], rtol=1e-5, atol=1e-8)


def test_other_rows_have_the_weight_decay_of_the_best_step(place, toy, tiny_tokenizer_folder):
    scores = ScriptedScores([10.0, 20.0, 90.0, 30.0, 40.0])
    stage, weights = run_stage(place / "backbone", tiny_tokenizer_folder, toy, scores)
    assert (stage.state.best_step, stage.state.step) == (30, 50)
    before, settings = load_file(place / "backbone" / "model.safetensors")[TABLE], stage.settings
    warmup, rates = round(50 * settings.warmup_share), []
    for step in range(stage.state.best_step):
        share = (step + 1) / (warmup + 1) if step < warmup else (50 - step) / (50 - warmup)
        rates.append(share * settings.learning_rate)
    left = weights[TABLE][-1] / before[-1]
    assert left.tolist() == pytest.approx([remaining_weight(rates, 0.1)] * len(left), rel=1e-5)


def test_rows_that_do_not_occur_have_no_gradient_and_no_moments(place, toy, tiny_tokenizer_folder, tmp_path):
    state = tmp_path / f"job{SUFFIX}"
    with pytest.raises(Interrupted):
        train(place, tiny_tokenizer_folder, toy, tmp_path / "out", SignallingSaver(state, 5))
    rows = len(load_file(place / "backbone" / "model.safetensors")[TABLE])
    assert all(rows not in value.shape for value in load_file(state).values())


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_computes_the_same_states_with_a_subset_or_keeps_its_table(kind, tmp_path):
    write_folder(kind, tmp_path / "published")
    fetch_model(Model(kind, path=str(tmp_path / "published")), tmp_path / "fetched")
    backbone = load_backbone(tmp_path / "fetched" / "backbone").eval()
    used = np.asarray([5, 7, 11, 20])
    ids = torch.as_tensor([[5, 11, 20, 7, 7, 5]])
    with torch.no_grad():
        whole = backbone.reader(ids).last_hidden_state
        subset = use_subset(backbone.reader, used)
        if subset is None:
            assert type(backbone.token_embeddings) is not torch.nn.Embedding, "an embedding with a lookup of its own"
        else:
            assert backbone.token_embeddings is subset and not subset.whole[0].weight.requires_grad
            with pytest.raises(IndexError):
                backbone.reader(torch.as_tensor([[6]]))
        assert torch.equal(backbone.reader(ids).last_hidden_state, whole)


def test_a_table_that_is_mostly_used_or_frozen_stays_whole(place):
    model = AutoModel.from_pretrained(place / "backbone", add_pooling_layer=False)
    table = model.get_input_embeddings()
    half = np.arange(table.num_embeddings // 2 + 1)
    assert use_subset(model, half) is None
    assert isinstance(use_subset(model, half[:-2]), SubsetEmbedding)
    model.set_input_embeddings(table)
    assert use_subset(model, half[:4]) is None, "frozen: by the subset itself"


@pytest.mark.parametrize("part", [{}, {"freeze": "embeddings"}, {"lora": {"rank": 2}}])
def test_a_table_that_is_not_trained_has_no_subset(place, toy, tiny_tokenizer_folder, tmp_path, caplog, part):
    task = {**toy, "settings": {**toy["settings"], "max_steps": 2, **part}}
    with caplog.at_level("INFO"):
        assert train(place, tiny_tokenizer_folder, task, tmp_path / "out")["steps"] == 2
    assert ("rows of the embedding table" in caplog.text) == (not part)
