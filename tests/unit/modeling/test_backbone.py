import pytest
import torch
from safetensors.torch import load_file, save_file
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.checkpoints import load_tuned, save_backbone, save_tuned
from stiltgrid.utils.errors import SourceError
from tiny_models import batch_of, write_backbone
from transformers import AutoModel

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
KINDS = {
    "xlm-roberta": {},
    "bert": SMALL,
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "llama": {**SMALL, "num_key_value_heads": 2},
    "mt5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
}


@pytest.fixture()
def folder(tmp_path, tiny_tokenizer_folder):
    return write_backbone(tmp_path / "backbone", tiny_tokenizer_folder)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_touch_the_states_of_real_tokens(kind, tmp_path, tiny_tokenizer_folder):
    backbone = load_backbone(write_backbone(tmp_path / "backbone", tiny_tokenizer_folder, kind, **KINDS[kind])).eval()
    together = batch_of([9, 4, 6])
    with torch.inference_mode():
        hidden = backbone(together)
        layers = backbone.all_layers(together)
        alone = backbone(batch_of([9, 4, 6], rows=[1]))
    assert hidden.shape == (3, 9, backbone.hidden_size)
    assert len(layers) == backbone.hidden_layers + 1 == 3
    torch.testing.assert_close(layers[-1], hidden)
    torch.testing.assert_close(hidden[1, :4], alone[0], rtol=1e-4, atol=1e-5)


def test_an_encoder_decoder_trains_its_encoder_alone(tmp_path, tiny_tokenizer_folder):
    backbone = load_backbone(write_backbone(tmp_path / "backbone", tiny_tokenizer_folder, "mt5", **KINDS["mt5"]))
    backbone(batch_of([5, 3])).sum().backward()
    assert all((item.grad is not None) == item.requires_grad for item in backbone.parameters())
    assert any(not item.requires_grad for item in backbone.parameters())


def test_a_backbone_has_no_pooler_and_knows_its_limits(folder):
    backbone = load_backbone(folder)
    assert not any("pooler" in name for name, _ in backbone.named_parameters())
    assert (backbone.hidden_size, backbone.hidden_layers, backbone.max_length) == (32, 2, 64)


def test_gradient_checkpointing_changes_no_gradient(folder):
    gradients = []
    for checkpointing in (False, True):
        backbone = load_backbone(folder).train()
        if checkpointing:
            backbone.checkpoint_gradients()
        backbone(batch_of([9, 4, 6])).square().sum().backward()
        gradients.append([item.grad.clone() for item in backbone.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_backbones_load_by_auto_model_and_by_us(kind, tmp_path, tiny_tokenizer_folder):
    backbone = load_backbone(write_backbone(tmp_path / "backbone", tiny_tokenizer_folder, kind, **KINDS[kind])).eval()
    expected = backbone(batch_of([5, 3]))
    save_tuned(backbone, torch.nn.Linear(4, 2), tmp_path / "tuned")
    keys = load_file(tmp_path / "tuned" / "model.safetensors").keys()
    assert {key.split(".")[0] for key in keys} == {"backbone", "head"}
    again, head = load_tuned(tmp_path / "tuned")
    torch.testing.assert_close(again.eval()(batch_of([5, 3])), expected)
    assert head.keys() == {"weight", "bias"}
    save_backbone(backbone, tmp_path / "plain")
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {"config.json", "model.safetensors"}
    model = AutoModel.from_pretrained(tmp_path / "plain")
    theirs, ours = dict(model.named_parameters()), dict(load_backbone(tmp_path / "plain").model.named_parameters())
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())


def test_weights_are_kept_in_the_dtype_they_were_trained_in_and_heads_in_full(folder, tmp_path):
    save_tuned(load_backbone(folder), torch.nn.Linear(4, 2), tmp_path / "tuned", torch.bfloat16)
    kinds = {key.split(".")[0]: value.dtype for key, value in load_file(tmp_path / "tuned/model.safetensors").items()}
    assert kinds == {"backbone": torch.bfloat16, "head": torch.float32}
    assert load_tuned(tmp_path / "tuned", torch.bfloat16)[0].model.dtype == torch.bfloat16


def test_pickled_weights_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(SourceError, match=r"found pytorch_model.bin.*only safetensors"):
        load_backbone(folder)


def test_a_truncated_file_is_named(folder, tmp_path):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(SourceError, match=r"backbone/model.safetensors: safetensors file truncated or damaged"):
        load_backbone(folder)
    with pytest.raises(SourceError, match=r"backbone/model.safetensors: safetensors file truncated or damaged"):
        load_tuned(folder)


def test_missing_weights_are_not_replaced_by_random_ones(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(SourceError, match=r"1 weights are missing, among them encoder.layer.1.output.dense.weight"):
        load_backbone(folder)
