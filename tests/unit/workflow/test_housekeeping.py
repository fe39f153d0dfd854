"""Estimates against numbers known otherwise; real folders cleaned; what a machine says of itself."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from stiltgrid.config.loading import load_grid
from stiltgrid.data.sources import open_source
from stiltgrid.workflow import doctor
from stiltgrid.workflow.clean_state import clean_state
from stiltgrid.workflow.estimate_disk import (
    PUBLISHED,
    Counts,
    Item,
    WeightBytes,
    adapters,
    encoder_parameters,
    model_parameters,
    peak,
    size,
    stored_parameters,
    table,
    used,
)
from stiltgrid.workflow.findings import screen
from transformers import AutoConfig, AutoModel

ROOT = Path(__file__).resolve().parents[3]
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096}


def test_weights_are_counted_as_the_model_has_them():
    assert encoder_parameters(LARGE, 250002, 514) == PUBLISHED["FacebookAI/xlm-roberta-large"]
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
    config = AutoConfig.for_model(
        "xlm-roberta", vocab_size=90, max_position_embeddings=20, type_vocab_size=1, num_attention_heads=2, **shape
    )
    model = AutoModel.from_config(config, add_pooling_layer=False)
    assert encoder_parameters(shape, 90, 20) == sum(value.numel() for value in model.parameters())


def test_a_models_size_comes_from_its_file_its_shape_or_its_name(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.bfloat16)}, path, {"format": "pt"})
    assert stored_parameters(path) == model_parameters(None, None, path) == 22
    pretrain = {"architecture": LARGE, "tokenizer": {"vocabulary": 250002}, "sequence_length": 514}
    assert model_parameters(None, pretrain, tmp_path / "none") == PUBLISHED["FacebookAI/xlm-roberta-large"]
    assert model_parameters("FacebookAI/xlm-roberta-base", None, tmp_path / "none") == 277_453_056
    assert model_parameters("someone/unknown", None, tmp_path / "none") is None


def test_the_peak_of_eleven_rows_and_nine_targets():
    """XLM-R Large: ten trained rows, six tuned models a row (XQuAD and MLQA share one, two targets have none)."""
    kept, gone = (
        {
            item.name: item
            for item in peak(PUBLISHED["FacebookAI/xlm-roberta-large"], Counts(10, 66, 1), keep, WeightBytes(4, 2))
        }
        for keep in (True, False)
    )
    assert kept["tuned models"].count == 66 and 73e9 < kept["tuned models"].total < 74e9
    assert kept["intermediate models"].total == 10 * 558_840_832 * 4
    assert gone["tuned models at once"].count == 2
    assert sum(item.total for item in kept.values()) - sum(item.total for item in gone.values()) == 64 * 558_840_832 * 2


def hub_grid(hub, training):
    config = {
        "source": "hub", "models": {"one": {"hub": hub, "revision": "0" * 40}}, "intermediates": ["none", "mnli"],
        "targets": ["xnli"], "seeds": [1], "tasks": {"xnli": {"languages": ["en"]}}, "training": training,
    }  # fmt: skip
    return load_grid(config, ROOT, [])


LORA = {"rank": 16, "targets": "all-linear"}


@pytest.mark.parametrize(("training", "state"), [
    ({"all": {"lora": LORA}}, 7_077_888),
    ({"all": {"lora": LORA}, "target": {"lora": None}}, None),
    ({"target": {"lora": LORA}}, None),
    ({}, None),
])  # fmt: skip
def test_states_of_adapters_are_small(tmp_path, training, state):
    grid = hub_grid("FacebookAI/xlm-roberta-large", training)
    assert adapters(grid, "FacebookAI/xlm-roberta-large", None, tmp_path) == state
    items = {item.name: item for item in peak(558_840_832, Counts(1, 2, 1), True, trained=state)}
    assert items["saved state of running jobs"].total == (state or 558_840_832) * 4 * 4 * 2


def test_adapters_are_counted_as_peft_makes_them(tmp_path):
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
    config = AutoConfig.for_model("xlm-roberta", vocab_size=90, num_attention_heads=2, **shape)
    model = get_peft_model(
        AutoModel.from_config(config, add_pooling_layer=False), LoraConfig(r=4, target_modules="all-linear")
    )
    (tmp_path / "config.json").write_text(json.dumps(shape))
    grid = hub_grid("someone/small", {"all": {"lora": {"rank": 4}}})
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    assert adapters(grid, "someone/small", None, tmp_path) == trained


def test_space_is_told_by_folder_and_half_written_files_apart(tmp_path):
    for name, count in (("tuned/a/model", 30), ("scores/b", 10), ("tuned/.a.77.partial/model", 5), (".c.1.partial", 4)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * count)
    found = [(item.name, item.total) for item in used(tmp_path)]
    assert found == [("tuned", 30), ("scores", 10), ("half-written, of killed jobs", 9)]
    assert used(tmp_path / "nothing") == []
    text = table("now", [Item("tuned", 3, 2 * 10**9), Item("scores", 1, 4 * 10**6), Item("text", 1, 500)])
    assert "3 of 2.0 GB" in text and "4.0 MB" in text and "0.5 kB" in text
    assert text.splitlines()[-1].split() == ["together", "6.0", "GB"] and size(10**9) == "1.0 GB"


def test_cleaning_removes_states_and_half_written_files_only(tmp_path):
    kept = [tmp_path / "tuned/a/model.safetensors", tmp_path / ".gitkeep", tmp_path / "tables/partial"]
    gone = [
        tmp_path / "resume/train_target/a.safetensors",
        tmp_path / "tuned/.a.77.partial/model",
        tmp_path / "tables/.t.tsv.5.partial",
    ]
    for path in (*kept, *gone):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)
    assert clean_state(tmp_path) == 30
    assert all(path.is_file() for path in kept)
    assert not any(path.exists() for path in gone) and not (tmp_path / "resume").exists()
    assert clean_state(tmp_path) == 0


def test_what_a_job_leaves_that_is_killed_while_it_writes_weights_is_removed(tmp_path):
    """Safetensors writes a temporary file of a name of its own beside the file that it is given."""
    out = tmp_path / "studies/vectors.safetensors"
    code = f"""
import sys
sys.path.append({str(ROOT / "workflow_scripts")!r})
import numpy as np
from safetensors.numpy import save_file
from stiltgrid.utils.files import atomic_path

print("writing", flush=True)
while True:
    with atomic_path({str(out)!r}) as temporary:
        save_file({{"a": np.zeros(10_000_000, np.float32)}}, temporary)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"writing\n"
        end = time.monotonic() + 60
        while not list(tmp_path.rglob(".tmp*")) and time.monotonic() < end:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert {path.name for path in out.parent.iterdir()} - {out.name}, "killed in the midst of it"
    clean_state(tmp_path)
    assert {path.name for path in out.parent.iterdir()} <= {out.name}


def test_the_doctor_reads_memory_and_commands_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal:  8000000 kB\nMemFree: 1 kB\nMemAvailable:  1000000 kB\n")
    found = doctor.memory(tmp_path / "meminfo")
    assert found.found == "1.0 GB free of 8.2 GB" and "2 GB" in found.advice
    tools = {"nvidia-smi": "echo 'NVIDIA X, 1000 MiB'; echo 'NVIDIA X, 1000 MiB'", "sinfo": "exit 1"}
    for name, body in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert doctor.gpus().found == "NVIDIA X, 1000 MiB; NVIDIA X, 1000 MiB"
    assert "--resources gpu=2" in doctor.gpus().advice
    assert doctor.slurm().found.startswith("no partition answers")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert doctor.gpus().found == doctor.slurm().found == "none"
    text = screen([doctor.gpus(), doctor.software()])
    assert f"torch {torch.__version__}" in text and "-> large models need one" in text


def test_the_doctor_names_missing_rows_of_this_experiment_alone():
    """Tasks of the catalogue that nobody asked for are no fault."""
    config = {
        "source": "local", "data_dir": "tests/data/mirror",
        "models": {"base": {"hub": "FacebookAI/xlm-roberta-base", "revision": "e" * 40}},
        "intermediates": ["none", "mnli", "anli_plus"], "targets": ["xnli"], "seeds": [1],
        "tasks": {"xnli": {"languages": ["en"]}},
    }  # fmt: skip
    grid = load_grid(config, ROOT)
    mirror = open_source("local", str(ROOT / "tests/data/mirror"))
    assert doctor.rows(grid, mirror).advice == "" and "3 asked for" in doctor.rows(grid, mirror).found
    empty = doctor.rows(grid, open_source("local", str(ROOT / "docs")))
    assert empty.found.startswith("local in tests/data/mirror: 0 tasks of the catalogue")
    assert empty.advice == "asked for and not there: mnli, xnli"
