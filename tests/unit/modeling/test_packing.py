"""Packed sequences: the same states, losses and weights as padded ones, and no token of padding."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stiltgrid.modeling.backbone import Backbone, load_backbone
from stiltgrid.modeling.batching import make_batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.packing import GROUPED, grouped_attention, length_groups, pack
from stiltgrid.modeling.packing_trial import packing_fault
from stiltgrid.modeling.planning import fill, plan_step
from stiltgrid.modeling.varlen import Attended
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_target
from tiny_models import MODEL, SHAPE, sequence_card, with_settings, write_task
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import AttentionInterface, AutoConfig, AutoModel

CPU = Compute(torch.device("cpu"), torch.float32)
LENGTHS = (5, 12, 5, 3, 12, 1, 9)
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
GROUPED_QUERIES = {**SMALL, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64}
PACKED = {
    "xlm-roberta": SHAPE,
    "bert": {**SHAPE, "max_position_embeddings": 64, "type_vocab_size": 2},
    "gpt2": {
        **{"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
        **{"embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0},
    },
    "llama": GROUPED_QUERIES,
    "qwen3": GROUPED_QUERIES,
    "eurobert": {**GROUPED_QUERIES, "bos_token_id": 2, "eos_token_id": 3, "mask_token_id": 4},
}
PADDED = {
    "t5": {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_ff": 48, "d_kv": 16},  # biases by distance
    "deberta-v2": {**SMALL, "max_position_embeddings": 64},  # attention of its own
    "modernbert": {**SMALL, "local_attention": 8, "global_attn_every_n_layers": 2},  # windows
    "gemma3_text": {**GROUPED_QUERIES, "sliding_window": 8},
}


def backbone(kind, shape):
    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, vocab_size=90, pad_token_id=1, **shape)
    return Backbone(AutoModel.from_config(config))


def encoded(lengths=LENGTHS):
    random = np.random.default_rng(1)
    ids = [random.integers(10, 90, length) for length in lengths]
    return Encoded(to_table({"input_ids": ids, "example": list(range(len(ids)))}))


@pytest.mark.parametrize("kind", PACKED)
def test_packed_states_and_gradients_are_those_of_padding(kind):
    model = backbone(kind, PACKED[kind]).train()
    assert model.enable_packing(CPU)
    found = []
    for packed in (False, True):
        batch = make_batch(encoded(), range(len(LENGTHS)), 1, (40, 50), "mean", separator=40, packed=packed)
        states = model(batch)
        assert (batch.real_tokens == batch.computed_tokens) is packed
        pooled = [batch.pool(states, how) for how in ("cls", "last", "mean", "mean_all", "compared")]
        model.zero_grad()
        (batch.flat(states).square().sum() + sum(item.sin().sum() for item in pooled)).backward()
        gradients = [item.grad.clone() for item in model.parameters() if item.grad is not None]
        found.append([batch.flat(states), batch.padded(batch.flat(states), 7.0), *pooled, *gradients])
    for packed, padded in zip(*reversed(found), strict=True):
        torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-5 * max(1.0, padded.abs().max().item()))


@pytest.mark.parametrize("kind", PADDED)
def test_a_model_that_cannot_be_packed_logs_why_and_stays_padded(kind, caplog):
    model = backbone(kind, PADDED[kind])
    batch = make_batch(encoded(), range(len(LENGTHS)), 1)
    model.eval()
    before = model(batch)
    with caplog.at_level("INFO"):
        assert not model.enable_packing(CPU)
    assert "packing is not available, micro-batches are padded" in caplog.text
    assert torch.equal(model(batch), before)


def test_recomputed_activations_are_packed_too():
    model = backbone("xlm-roberta", SHAPE).train()
    assert model.enable_packing(CPU)
    batch = make_batch(encoded(), range(len(LENGTHS)), 1, packed=True)
    model(batch).square().sum().backward()
    plain = [item.grad.clone() for item in model.parameters() if item.grad is not None]
    model.zero_grad()
    model.checkpoint_gradients()
    model(batch).square().sum().backward()
    again = [item.grad for item in model.parameters() if item.grad is not None]
    assert plain and all(torch.equal(*pair) for pair in zip(plain, again, strict=True))


def test_an_attention_that_fails_in_training_is_refused_with_its_reason():
    """One that computes the states, but whose gradient raises."""

    class WithoutGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, states):
            return states.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("no gradient here\nat all")

    def attend(*arguments, **options):
        states, weights = AttentionInterface()[GROUPED](*arguments, **options)
        return WithoutGradient.apply(states), weights

    model = backbone("xlm-roberta", SHAPE).train()
    assert model.enable_packing(CPU)
    AttentionInterface.register("test_without_gradient", attend)
    model.use_packed_attention("test_without_gradient")
    with torch.no_grad():
        assert packing_fault(model, model.vocabulary_size, CPU) == "", "its states are right"
    assert packing_fault(model, model.vocabulary_size, CPU) == "RuntimeError: no gradient here"
    assert model.training


def test_packing_is_tried_again_with_gradient_checkpointing_and_draws_nothing(caplog):
    model = backbone("xlm-roberta", {**SHAPE, "hidden_dropout_prob": 0.1}).train()
    states = torch.get_rng_state()
    assert model.enable_packing(CPU)
    model.use_packed_attention(None)
    model.checkpoint_gradients()
    assert model.enable_packing(CPU) and not caplog.records
    assert torch.equal(torch.get_rng_state(), states)
    assert all(value.grad is None for value in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_attention_across_sequences_is_refused_in_every_precision(kind, dtype):
    def across(module, query, key, value, attention_mask, packing=None, **others):
        groups = query.shape[1] // key.shape[1]
        key, value = (item.repeat_interleave(groups, dim=1) for item in (key, value))
        return scaled_dot_product_attention(query, key, value).transpose(1, 2), None

    AttentionInterface.register("test_across", across)
    model, compute = backbone(kind, PACKED[kind]).train(), Compute(torch.device("cpu"), dtype)
    assert model.enable_packing(compute), "the right one is taken in this precision"
    model.use_packed_attention("test_across")
    assert "states differ from those of padded batches" in packing_fault(model, model.vocabulary_size, compute)


def test_a_sequence_sees_nothing_of_its_neighbours():
    model = backbone("xlm-roberta", SHAPE).eval()
    assert model.enable_packing(CPU)
    one, other = encoded((4, 6)), encoded((4, 6))
    other.tokens["input_ids"] = np.concatenate([one.tokens["input_ids"][:4], np.full(6, 11, dtype=np.int32)])
    first, second = (model(make_batch(data, [0, 1], 1, packed=True))[0] for data in (one, other))
    assert torch.equal(first[:4], second[:4]) and not torch.equal(first[4:], second[4:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_groups_give_what_each_sequence_alone_gives(causal, dtype):
    torch.manual_seed(2)
    rows = [torch.randn(sum(LENGTHS), 2, 8, dtype=dtype, requires_grad=True) for _ in range(3)]
    above = torch.randn(sum(LENGTHS), 2, 8, dtype=dtype)
    options = Attended(0.0, causal, 0.3)

    def alone(rows, packed, options):
        parts = zip(*(row.transpose(0, 1).split(LENGTHS, 1) for row in rows), strict=True)
        states = [scaled_dot_product_attention(*part, is_causal=options.causal, scale=options.scale) for part in parts]
        return torch.cat(states, 1).transpose(0, 1)

    def found(kernel):
        states = kernel(rows, pack(np.array(LENGTHS)), options)
        return [states.detach(), *torch.autograd.grad(states, rows, above)]

    tolerance = {} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 2e-2}
    torch.testing.assert_close(found(grouped_attention), found(alone), **tolerance)


def test_dropout_reaches_attention_and_inference_gives_the_same_states():
    rows = [torch.randn(sum(LENGTHS), 2, 8, requires_grad=True) for _ in range(3)]
    packed = pack(np.array(LENGTHS))
    whole = grouped_attention(rows, packed, Attended(0.0, False, None))
    assert not torch.equal(grouped_attention(rows, packed, Attended(0.5, False, None)), whole)
    with torch.inference_mode():
        assert torch.equal(grouped_attention(rows, packed, Attended(0.0, False, None)), whole)


def test_groups_cost_least_of_all_cuts():
    lengths = np.array([3, 9, 4, 9, 20, 5, 18])
    groups = length_groups(lengths, price=60)
    assert sorted(np.concatenate(groups)) == list(range(7))

    def cost(pieces):
        return sum(60 + len(piece) * max(piece) ** 2 for piece in pieces)

    ordered = sorted(lengths, reverse=True)
    cuts = [[place for place in range(1, 7) if number >> place & 1] for number in range(0, 2**7, 2)]
    parts = [np.split(ordered, cut) for cut in cuts]
    assert cost([lengths[group] for group in groups]) == min(cost(part) for part in parts)


def test_every_token_has_a_slot_in_its_group_and_comes_back():
    packed = pack(np.array(LENGTHS))
    values = torch.arange(sum(LENGTHS))
    torch.testing.assert_close(values[packed.groups.gather][packed.groups.slots], values)
    assert packed.positions[0].tolist() == [place for length in LENGTHS for place in range(length)]
    assert packed.starts.tolist() == [0, 5, 17, 22, 25, 37, 38]
    assert packed.attended == sum(sequences * longest for sequences, longest in packed.groups.shapes)


def test_packed_micro_batches_are_filled_up_to_the_limit():
    data = encoded([50, 10, 20, 30, 40, 10])
    plan = plan_step(data, data.example_offsets, np.arange(6), 90, None, packed=True)
    assert sorted(np.concatenate(plan)) == list(range(6))
    assert [int(data.lengths[part].sum()) for part in plan] == [90, 70]
    assert [part.tolist() for part in fill(np.array([9, 5]), np.array([40, 5]), 10)] == [[0], [1]]


def test_fifty_steps_have_the_same_losses_and_no_padding(place, tiny_tokenizer_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("stiltgrid.modeling.heads.DROPOUT", 0.0)
    task = write_task(place / "toy", tiny_tokenizer_folder, sequence_card())
    task = with_settings(task, max_steps=50, epochs=20, learning_rate=5e-4, evaluate_every=25, dev_share=None)

    def run(name):
        paths = TrainingPaths(place / "backbone", tiny_tokenizer_folder, tmp_path / name)
        train_target(paths, TrainingJob(MODEL, [task], seed=1))
        lines = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        return [line["loss"] for line in lines if "loss" in line], [line["dev"] for line in lines if "dev" in line]

    losses, scores = run("packed")
    record = json.loads((tmp_path / "packed" / "training.json").read_text())["stages"][0]
    assert len(losses) == 50 and record["padding_share"] == 0.0
    monkeypatch.setattr(Backbone, "enable_packing", lambda self, compute: False)
    padded, padded_scores = run("padded")
    np.testing.assert_allclose(losses, padded, rtol=0, atol=1e-5)
    assert scores == padded_scores
    states = [load_file(tmp_path / name / "model.safetensors") for name in ("packed", "padded")]
    assert all((states[0][key] - value).abs().max() < 1e-4 for key, value in states[1].items())
    configs = [(tmp_path / name / "config.json").read_text() for name in ("packed", "padded")]
    assert configs[0] == configs[1], "how a model attends while training is no part of it"


def test_a_loss_over_tokens_is_the_same(place):
    model = load_backbone(place / "backbone").eval()
    assert model.enable_packing(CPU)
    targets = torch.arange(sum(LENGTHS)) % 32
    losses = [
        cross_entropy(batch.flat(model(batch)), targets)
        for batch in (make_batch(encoded(), range(len(LENGTHS)), 1, packed=packed) for packed in (False, True))
    ]
    torch.testing.assert_close(*losses, rtol=1e-6, atol=1e-6)
