"""Resumed pretraining writes the bytes of undisturbed pretraining; running out of memory changes no step."""

import signal
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from signalling_saver import SignallingSaver
from small_memory import small_memory
from stiltgrid.preparation.raw_text import prepare_text
from stiltgrid.preparation.tokenizers import train_tokenizer
from stiltgrid.training.pretraining import PretrainingPaths, train_language_model
from stiltgrid.training.resume import SUFFIX, Interrupted, StateSaver
from stiltgrid.utils.errors import StiltgridError

TEXTS = {"en": ["the lamp turns all night.", "every boat is blue."] * 30, "de": ["die Lampe dreht sich."] * 20}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SETTINGS = {"sequence_length": 16, "steps": 12, "tokens_per_step": 128, "mask_rate": 0.3, "learning_rate": 4e-3}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretraining")
    prepare_text(
        SimpleNamespace(text=lambda language: iter(TEXTS[language])), list(TEXTS), None, folder / "text.parquet"
    )
    settings = {"algorithm": "bpe", "vocabulary": 100, "pre_tokenizer": "scripts"}
    train_tokenizer(folder / "text.parquet", settings, folder / "tokenizer")
    return folder


@pytest.fixture
def pretrain(place, tmp_path):
    """Pretrain; the bytes of all that is written but the times."""

    def run(name, saver=None, model="xlm-roberta", **settings):
        settings = {**SETTINGS, "architecture": {"model_type": model, **SHAPE}, **settings}
        paths = PretrainingPaths(place / "text.parquet", place / "tokenizer", tmp_path / name)
        train_language_model(paths, settings, 1, saver=saver)
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.name != "pretraining.json"}

    return run


@pytest.mark.parametrize(
    "settings", [{}, {"optimizer": "muon"}, {"objective": "causal", "model": "gpt2"}], ids=["adamw", "muon", "causal"]
)
def test_stopped_pretraining_resumes_to_the_same_bytes(pretrain, tmp_path, settings):
    undisturbed = pretrain("undisturbed", **settings)
    state = tmp_path / f"job{SUFFIX}"
    for at in (5, 4):
        with pytest.raises(Interrupted, match="stopped by SIGUSR1; state saved"):
            pretrain("stopped", SignallingSaver(state, at, signal.SIGUSR1), **settings)
    assert not (tmp_path / "stopped").exists()
    assert pretrain("stopped", StateSaver(state), **settings) == undisturbed
    assert not state.exists()


def test_out_of_memory_splits_a_step_into_chunks_and_trains_the_same_weights(pretrain, tmp_path, caplog):
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    architecture = {"model_type": "xlm-roberta", **SHAPE, **quiet}
    pretrain("enough", architecture=architecture)
    with small_memory(3 * 16) as asked:
        pretrain("short", architecture=architecture)
    rows = [tokens // 16 for tokens in asked]
    assert rows[:3] == [8, 4, 2] and set(rows[3:]) == {2}, "8 rows a step: in one chunk, in two, in four"
    assert "a step's 8 rows now pass in 4 chunks" in caplog.text
    enough, short = (load_file(tmp_path / name / "model.safetensors") for name in ("enough", "short"))
    for key, value in enough.items():
        torch.testing.assert_close(short[key], value, rtol=0, atol=1e-4)


def test_out_of_memory_with_one_row_is_an_error(pretrain):
    message = "step 1: out of memory .* one row of 16 tokens at a time; lower"
    with small_memory(0), pytest.raises(StiltgridError, match=message):
        pretrain("none")
