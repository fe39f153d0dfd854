"""Adapters and frozen embeddings: what is trained, what the next stage starts from, what a resumed job needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from architectures import KINDS, write_folder
from safetensors.torch import load_file
from signalling_saver import SignallingSaver
from stiltgrid.grid.grid import Model, Recipe, TrainingSettings
from stiltgrid.grid.params import as_params
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.preparation.models import fetch_model
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.resume import SUFFIX, Interrupted, StateSaver
from stiltgrid.training.trainable import base_dtype, trainable_part
from stiltgrid.training.training import train_intermediate, train_target
from stiltgrid.utils.errors import StiltgridError
from tiny_models import MODEL, batch_of, sequence_card, with_settings, write_backbone, write_task

LORA = {"rank": 2, "alpha": 8, "dropout": 0.1}
EMBEDDINGS = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_tokenizer_folder):
    folder = tmp_path_factory.mktemp("trainable")
    write_backbone(folder / "backbone", tiny_tokenizer_folder, hidden_dropout_prob=0.1)
    return folder


@pytest.fixture(scope="module")
def toy(place, tiny_tokenizer_folder):
    return write_task(place / "toy", tiny_tokenizer_folder, sequence_card())


@pytest.fixture(scope="module")
def second(place, tiny_tokenizer_folder):
    return write_task(place / "second", tiny_tokenizer_folder, sequence_card("second"), train=50, seed=9)


@pytest.fixture()
def train(place, tiny_tokenizer_folder, tmp_path):
    """Train a row; weights before, weights after, the record."""

    def run(*tasks, name="row"):
        recipe = as_params(Recipe("mix", tuple(task["card"]["name"] for task in tasks)))
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, tmp_path / name)
        train_intermediate(paths, TrainingJob(MODEL, tasks, seed=1), recipe)
        weights = [load_file(folder / "model.safetensors") for folder in (place / "backbone", tmp_path / name)]
        return *weights, json.loads((tmp_path / name / "training.json").read_text())

    return run


def test_adapters_change_linear_layers_by_their_rank_and_nothing_else(train, toy):
    before, after, record = train(with_settings(toy, max_steps=6, lora=LORA))
    assert before.keys() == after.keys(), "an ordinary checkpoint, no trace of adapters"
    for name, value in after.items():
        change = value - before[name]
        if value.ndim == 2 and name.startswith("encoder."):
            assert 1 <= torch.linalg.matrix_rank(change, atol=1e-6) <= LORA["rank"], name
        else:
            assert not change.any(), name
    # Six matrices a layer: four of (32, 32), two of (32, 48); rank * (rows + columns) weights each, and the head's.
    adapters = 2 * 2 * (4 * (32 + 32) + 2 * (32 + 48))
    head = 32 * 32 + 32 + 2 * 32 + 2
    stage = record["stages"][0]
    assert stage["trained_parameters"] == adapters + head
    assert stage["settings"]["lora"] == LORA


def test_frozen_embeddings_stay_to_the_last_bit(train, toy):
    before, after, record = train(with_settings(toy, max_steps=4, freeze="embeddings"))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {EMBEDDINGS}
    assert record["stages"][0]["settings"]["freeze"] == "embeddings"
    assert record["stages"][0]["trained_parameters"] == sum(
        value.numel() for name, value in before.items() if name != EMBEDDINGS
    ) + (32 * 32 + 32 + 2 * 32 + 2)


def test_settings_left_unset_change_neither_params_nor_weights(train, toy):
    plain = as_params(TrainingSettings())
    assert not {"lora", "freeze"} & plain.keys()
    _, after, record = train(with_settings(toy, max_steps=2), name="plain")
    _, again, _ = train(with_settings(toy, max_steps=2, lora=None, freeze=None), name="unset")
    assert all(torch.equal(value, again[name]) for name, value in after.items())
    assert not {"lora", "freeze"} & record["stages"][0]["settings"].keys()


def test_adapters_learn(train, toy):
    _, _, record = train(with_settings(toy, epochs=8, learning_rate=0.01, lora={"rank": 4}))
    assert record["stages"][0]["best_score"] > 80, "chance is 50"


def test_merged_weights_compute_what_the_stage_evaluated(place, toy, tiny_tokenizer_folder):
    """Merged weights compute what weights and adapters computed side by side."""
    backbone, batch = load_backbone(place / "backbone").eval(), batch_of([9, 4, 6])
    untouched = backbone(batch).detach()
    with trainable_part(backbone, TrainingSettings(lora={"rank": 3})):
        assert torch.equal(backbone(batch), untouched), "adapters start without effect"
        for name, value in backbone.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.1)
        beside = backbone(batch).detach()
    assert not torch.allclose(beside, untouched, atol=1e-3)
    torch.testing.assert_close(backbone(batch).detach(), beside, rtol=1e-4, atol=1e-5)
    assert all(value.requires_grad for value in backbone.parameters())
    assert not any("lora" in name for name, _ in backbone.named_parameters())


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_backbone_takes_adapters(name, tmp_path):
    write_folder(name, tmp_path / "original")
    fetch_model(Model(name, path=str(tmp_path / "original")), tmp_path)
    backbone = load_backbone(tmp_path / "backbone").eval()
    keys = list(backbone.state_dict())
    total = backbone.parameter_count
    with trainable_part(backbone, TrainingSettings(lora={"rank": 1})):
        trained = [value for value in backbone.parameters() if value.requires_grad]
        assert 0 < sum(value.numel() for value in trained) < total / 3
        backbone(batch_of([5, 3])).square().sum().backward()
        assert all(value.grad is not None for value in trained), "nothing is trained that is never used"
    assert list(backbone.state_dict()) == keys
    with trainable_part(backbone, TrainingSettings(freeze="embeddings")) as frozen:
        assert [value.shape[0] for value in frozen] == [backbone.vocabulary_size]


@pytest.mark.parametrize("part", [{"lora": {"rank": 2}}, {"freeze": "embeddings"}], ids=["lora", "freeze"])
def test_gradient_checkpointing_changes_no_gradient(place, part):
    gradients = []
    for checkpointing in (False, True):
        backbone = load_backbone(place / "backbone").train()
        for module in backbone.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        if checkpointing:
            backbone.checkpoint_gradients()
        torch.manual_seed(4)
        with trainable_part(backbone, TrainingSettings(**part)):
            backbone(batch_of([9, 4, 6])).square().sum().backward()
            gradients.append([item.grad for item in backbone.parameters() if item.requires_grad])
    assert any(value.abs().max() > 0 for value in gradients[0])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_unknown_adapter_targets_are_refused_with_the_known_names(place):
    backbone = load_backbone(place / "backbone")
    with trainable_part(backbone, TrainingSettings(lora={"rank": 1, "targets": ("query", "value")})):
        names = {name.split(".lora_")[0].rpartition(".")[2] for name, value in backbone.named_parameters()
                 if value.requires_grad}  # fmt: skip
    assert names == {"query", "value"}
    with pytest.raises(StiltgridError, match=r"no layer 'q_proj' in this model; it has .*query"):
        with trainable_part(backbone, TrainingSettings(lora={"rank": 1, "targets": ("q_proj",)})):
            pass


def test_a_model_that_trains_adapters_only_is_loaded_in_the_compute_dtype():
    adapters, whole = TrainingSettings(lora={"rank": 1}), TrainingSettings()
    assert base_dtype([adapters, adapters], torch.bfloat16) == torch.bfloat16
    assert base_dtype([adapters, whole], torch.bfloat16) == torch.float32


def test_adapters_train_beside_weights_in_bf16(train, toy):
    _, after, record = train(with_settings(toy, max_steps=3, lora=LORA, precision="bf16"))
    assert record["dtype"] == "bfloat16" and after["encoder.layer.0.output.dense.weight"].dtype == torch.bfloat16


def test_a_saved_state_holds_trained_weights_only(place, toy, tiny_tokenizer_folder, tmp_path):
    """A saved state holds the adapters' moments and the head's, not the backbone."""
    state = tmp_path / f"state{SUFFIX}"
    with pytest.raises(Interrupted):
        task = with_settings(toy, lora=LORA)
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, tmp_path / "out")
        train_target(paths, TrainingJob(MODEL, [task], seed=1), SignallingSaver(state, 3))
    shapes = [tuple(value.shape) for name, value in load_file(state).items() if not name.startswith("random")]
    assert max(shape[0] for shape in shapes if shape) < load_backbone(place / "backbone").vocabulary_size


@pytest.mark.parametrize("part", [{"lora": LORA}, {"freeze": "embeddings"}], ids=["lora", "freeze"])
@pytest.mark.parametrize("first", [True, False], ids=["both", "second"])
@pytest.mark.parametrize("at", [4, 15])
def test_stopped_stages_resume_to_the_same_bytes(place, toy, second, tiny_tokenizer_folder, tmp_path, part, first, at):
    """Two stages; in the second, weights that it does not train may have been trained by the first."""
    tasks = [
        with_settings(toy, evaluate_every=4, dev_share=None, **(part if first else {})),
        with_settings(second, **part),
    ]

    def run(out: Path, saver: StateSaver | None = None) -> tuple[bytes, bytes]:
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, out)
        train_target(paths, TrainingJob(MODEL, tasks, seed=1), saver)
        return (out / "model.safetensors").read_bytes(), (out / "log.jsonl").read_bytes()

    undisturbed, state = run(tmp_path / "undisturbed"), tmp_path / f"state{SUFFIX}"
    with pytest.raises(Interrupted):
        run(tmp_path / "out", SignallingSaver(state, at))
    assert run(tmp_path / "out", StateSaver(state)) == undisturbed


def test_peft_is_imported_only_for_adapters():
    code = "import sys, stiltgrid.training.training; sys.exit('peft' in sys.modules or 'accelerate' in sys.modules)"
    folder = Path(__file__).parents[3] / "workflow_scripts"
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0
