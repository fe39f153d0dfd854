"""CUDA graphs: replays give the states and gradients of ordinary passes. Recordings are emulated, but for one test."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from stiltgrid.modeling.backbone import Backbone, model_options
from stiltgrid.modeling.batching import Batch, make_batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.graph_sizes import GraphSizes, graph_sizes
from stiltgrid.modeling.graph_trial import recorded_passes
from stiltgrid.modeling.packing import VARLEN
from stiltgrid.modeling.pass_graphs import CudaRecorder, PassGraphs
from tape_recorder import NotRecordable, TapeRecorder
from tiny_models import SHAPE
from transformers import AutoConfig, AutoModel
from varlen_reference import VarlenReference

SIZES = GraphSizes((16, 32, 48), 12, 12)
IDS = np.arange(10, 74)
FP32 = Compute(torch.device("cpu"), torch.float32)
BF16 = Compute(torch.device("cpu"), torch.bfloat16)


@pytest.fixture(autouse=True)
def kernels() -> Iterator[VarlenReference]:
    with VarlenReference().registered() as reference:
        yield reference


def backbone(kind: str = "xlm-roberta", **shape: object) -> Backbone:
    torch.manual_seed(3)
    config = AutoConfig.for_model(kind, vocab_size=90, pad_token_id=1, **{**SHAPE, **shape})
    found = Backbone(AutoModel.from_config(config, **model_options(config)))
    found.enable_packing(FP32)  # registers the attentions
    found.use_packed_attention(VARLEN)
    return found.train()


def batch(*lengths: int, separator: int | None = None) -> Batch:
    random = np.random.default_rng(sum(lengths))
    ids = [random.integers(10, 90, length) for length in lengths]
    data = Encoded(to_table({"input_ids": ids, "example": list(range(len(ids)))}))
    return make_batch(data, range(len(ids)), 1, packed=True, separator=separator)


def gradients(model: Backbone, read: Any, item: Batch, compute: Compute = FP32) -> dict[str, torch.Tensor]:
    """The states of a pass, and the gradients that it adds to those that are there."""
    with compute.autocast():
        states = read(item).float()
    kept = states.detach().clone()
    (states * torch.linspace(-1, 1, states.numel(), device=states.device).view_as(states)).sum().backward()
    names = {name: value.grad for name, value in model.named_parameters()}
    return {"states": kept, **{name: value.clone() for name, value in names.items() if value is not None}}


def cleared(model: Backbone) -> Backbone:
    for item in model.parameters():
        item.grad = None
    return model


def both(model: Backbone, graphs: PassGraphs, item: Batch, compute: Compute = FP32) -> tuple[Any, Any]:
    """What a replay and an ordinary pass give."""
    graphs.clear_gradients()
    replayed = gradients(model, graphs, item, compute)
    return replayed, gradients(cleared(model), model, item, compute)


@pytest.mark.parametrize("compute", [FP32, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("lengths", [(7, 3, 5), (4, 12), (12, 9, 12), (1,), (12, 12, 12, 12)])
def test_a_filled_batch_has_the_states_and_gradients_of_the_batch(lengths, compute):
    model, recorder = backbone(), TapeRecorder()
    graphs = PassGraphs(model, compute, SIZES, 10, recorder)
    replayed, plain = both(model, graphs, batch(*lengths), compute)
    assert recorder.replays == 2 and replayed["states"].shape == (1, sum(lengths), SHAPE["hidden_size"])
    assert replayed.keys() == plain.keys()
    tolerance = {} if compute is FP32 else {"rtol": 3e-2, "atol": 3e-2}
    torch.testing.assert_close(replayed, plain, **tolerance)


def test_replays_read_the_weights_as_they_are_and_gradients_add_up():
    model = backbone()
    names = {item: name for name, item in model.named_parameters()}
    graphs = PassGraphs(model, BF16, SIZES, 10, TapeRecorder())
    first, second = batch(5, 9), batch(12, 12, 7, 8)
    with torch.no_grad():
        for item in model.parameters():
            item.mul_(0.7)
    graphs.clear_gradients()
    gradients(model, graphs, first, BF16)
    replayed = gradients(model, graphs, second, BF16)
    gradients(cleared(model), model, first, BF16)
    plain = gradients(model, model, second, BF16)
    torch.testing.assert_close(replayed, plain, rtol=3e-2, atol=3e-2)
    for item, gradient in graphs.gradients.items():
        assert gradient.any() or "embeddings" in names[item], names[item]
    graphs.clear_gradients()
    assert all(item.grad is gradient and not gradient.any() for item, gradient in graphs.gradients.items())


def test_ordinary_passes_add_to_the_same_gradients():
    model, recorder = backbone(), TapeRecorder()
    graphs = PassGraphs(model, FP32, SIZES, 10, recorder)
    graphs.clear_gradients()
    gradients(model, graphs, batch(5, 9))
    mixed = gradients(model, graphs, batch(12, 12, 12, 12, 9))
    assert recorder.replays == 2, "57 tokens fit no graph"
    gradients(cleared(model), model, batch(5, 9))
    torch.testing.assert_close(mixed, gradients(model, model, batch(12, 12, 12, 12, 9)))


def test_weights_that_are_frozen_or_not_reached_have_no_gradient():
    model = backbone()
    model.token_embeddings.requires_grad_(False)
    model.unused = torch.nn.Linear(2, 2)
    graphs = PassGraphs(model, FP32, SIZES, 10, TapeRecorder())
    replayed, plain = both(model, graphs, batch(7, 3))
    assert replayed.keys() == plain.keys()
    assert not any("unused" in name or "word_embeddings" in name for name in replayed)


def test_token_types_are_replayed():
    model = backbone("bert", type_vocab_size=2)
    assert model.uses_segments
    graphs = PassGraphs(model, FP32, SIZES, 10, TapeRecorder())
    ids = batch(7, 12, 9).input_ids[0].tolist()
    for separator in (ids[2], ids[10], None):  # None: a task of single texts, after one of pairs
        item = batch(7, 12, 9, separator=separator)
        assert separator is None or item.segments.any()
        replayed, plain = both(model, graphs, item)
        torch.testing.assert_close(replayed, plain)


def test_weights_that_autocast_has_kept_are_not_recorded():
    """An ordinary pass before, in the same context, has left copies of the weights in bf16."""
    model = backbone()
    with BF16.autocast():
        model(batch(7, 3, 5))
        graphs = PassGraphs(model, BF16, SIZES, 10, TapeRecorder())
    torch._foreach_mul_([item.detach() for item in model.parameters()], 0.5)
    replayed, plain = both(model, graphs, batch(7, 3, 5), BF16)
    torch.testing.assert_close(replayed, plain, rtol=3e-2, atol=3e-2)


def test_dropout_is_drawn_in_each_replay_and_the_same_from_the_same_state():
    model = backbone(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    state = torch.get_rng_state()
    graphs = recorded_passes(model, FP32, SIZES, IDS, TapeRecorder)
    assert graphs is not None and torch.equal(torch.get_rng_state(), state), "recording draws nothing from the stage"
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        graphs.clear_gradients()
        found.append(gradients(model, graphs, batch(7, 3, 5)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert not torch.equal(found[0]["states"], found[2]["states"])


HEADS = {"num_key_value_heads": 1, "head_dim": 16}


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "xlm-roberta-xl", "distilbert", "llama", "qwen3"])
def test_other_architectures_are_recorded(kind):
    model = backbone(kind, dropout=0.0, attention_dropout=0.0, **(HEADS if kind in ("llama", "qwen3") else {}))
    graphs = recorded_passes(model, FP32, SIZES, IDS, TapeRecorder)
    assert graphs is not None
    replayed, plain = both(model, graphs, batch(7, 3, 5))
    torch.testing.assert_close(replayed, plain)


def weights_of(model: Backbone) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("compute", [FP32, BF16], ids=["fp32", "bf16"])
def test_a_trial_leaves_weights_mode_and_gradients_as_they_were(compute):
    model = backbone().eval()
    before = weights_of(model)
    assert recorded_passes(model, compute, SIZES, IDS, TapeRecorder) is not None
    assert not model.training
    torch.testing.assert_close(weights_of(model), before, rtol=0, atol=0)
    assert all(item.grad is None for item in model.parameters())


class Faulty(TapeRecorder):
    """Records, but replays what `fault` makes of it."""

    def __init__(self, fault: Any) -> None:
        super().__init__()
        self.fault = fault

    def record(self, function: Any) -> Any:
        result, replay = super().record(function)
        return result, self.fault(len(self.tapes), self.tapes[-1], replay)


def nothing(number: int, tape: Any, replay: Any) -> Any:
    return lambda: None


def no_gradients(number: int, tape: Any, replay: Any) -> Any:
    return replay if number % 2 else lambda: None


def without_casts(number: int, tape: Any, replay: Any) -> Any:
    """As if autocast had kept the weights of the recording."""
    cast = torch.ops.aten._to_copy.default
    tape.calls = [call for call in tape.calls if call[0] is not cast or not isinstance(call[1][0], torch.nn.Parameter)]
    return replay


def interrupted(number: int, tape: Any, replay: Any) -> Any:
    def fail() -> None:
        raise RuntimeError("CUDA error: operation not permitted\nCompile with …")

    return replay if number < 2 else fail


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (nothing, "states differ from those of passes without graphs"),
        (no_gradients, "gradients differ from those of passes without graphs"),
        (without_casts, "after the weights have changed"),
        (interrupted, "RuntimeError: CUDA error: operation not permitted"),
    ],
    ids=["nothing", "no gradients", "kept casts", "an error"],
)
def test_recordings_that_compute_something_else_are_not_used(fault, said, caplog):
    model = backbone()
    before = weights_of(model)
    caplog.clear()
    assert recorded_passes(model, BF16, SIZES, IDS, lambda: Faulty(fault)) is None
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 and "without CUDA graphs" in lines[0] and said in lines[0] and "\n" not in lines[0]
    torch.testing.assert_close(weights_of(model), before, rtol=0, atol=0)
    assert all(item.grad is None for item in model.parameters())


def test_a_backbone_that_waits_for_the_device_is_not_recorded(caplog, monkeypatch):
    model = backbone()
    states = model.packed_states

    def waits(*arguments: Any) -> torch.Tensor:
        found = states(*arguments)
        return found * float(found.abs().max() > 0)

    monkeypatch.setattr(model, "packed_states", waits)
    caplog.clear()
    assert recorded_passes(model, FP32, SIZES, IDS, TapeRecorder) is None
    assert NotRecordable.__name__ in caplog.text and len(caplog.records) == 1


def test_a_backbone_that_drops_layers_at_random_is_not_recorded(caplog):
    """The draw is the host's, so a recording would hold one draw for ever."""
    model = backbone()
    model.reader.config.encoder_layerdrop = 0.1
    caplog.clear()
    assert recorded_passes(model, FP32, SIZES, IDS, TapeRecorder) is None
    assert "encoder_layerdrop" in caplog.text


def test_sizes_are_at_even_shares_of_the_batches():
    draw = np.random.default_rng(1)
    batches = [draw.integers(5, 60, 32) for _ in range(200)]
    sizes = graph_sizes(batches, 4000)
    assert sizes is not None and 5 <= len(sizes.tokens) <= 10 and all(size % 16 == 0 for size in sizes.tokens)
    assert sizes.longest == 59 and sizes.sequences % 8 == 0
    shares = []
    for lengths in batches:
        tokens = sizes.fitting(lengths)
        assert tokens is not None, "each of them fits"
        filled = sizes.filled(lengths, tokens)
        assert len(filled) == sizes.sequences and filled.sum() == tokens and filled.max() <= 59
        assert np.array_equal(filled[:32], lengths)
        shares.append(tokens / lengths.sum() - 1)
    assert np.mean(shares) < 0.05


def test_batches_that_fit_no_size_are_told():
    sizes = GraphSizes((32, 64), 8, 16)
    assert sizes.fitting(np.array([16, 16])) == 32 and sizes.fitting(np.array([16, 16, 1])) == 64
    for too_much in ([16] * 4 + [1], [17], [1] * 8):
        assert sizes.fitting(np.array(too_much)) is None, too_much
    assert sizes.filled(np.array([3, 4]), 64).tolist() == [3, 4, 16, 16, 16, 9, 0, 0]
    assert graph_sizes([np.array([500, 500])], 900) is None
    one = graph_sizes([np.array([500, 500]), np.array([16])], 900)
    assert one is not None and one.tokens == (16,), "larger batches run without graphs"


class Capture:
    """Stands for `torch.cuda.graph` where an operation has spoilt the recording: the stream stays changed."""

    def __init__(self, graph: object, pool: object, stream: object) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        torch.cuda.set_stream(self.stream)

    def __exit__(self, *error: object) -> None:
        raise RuntimeError("operation failed due to a previous error during capture")


def test_a_recording_that_fails_names_the_cause_restores_the_stream_and_frees_nothing(monkeypatch):
    streams = ["the stream of the steps"]
    stand_ins = {"graph": Capture, "CUDAGraph": object, "Stream": lambda: "the stream of recordings",
                 "graph_pool_handle": lambda: 0, "current_stream": lambda: streams[-1],
                 "set_stream": streams.append}  # fmt: skip
    for name, value in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, value)
    recorder = CudaRecorder()

    def fails() -> None:
        raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        recorder.record(fails)
    assert streams == ["the stream of the steps", "the stream of recordings", "the stream of the steps"]
    assert len(recorder._graphs) == 1, "deleting a graph would free workspaces of the others"


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_replays_what_it_computes_without_graphs_and_the_same_each_time(dtype):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU; there is none")
    compute = Compute(torch.device("cuda"), dtype)
    model = backbone(hidden_size=64, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1).cuda()
    items = [batch(*lengths).to(compute.device) for lengths in ((7, 3, 5), (12, 12, 7, 8), (1,), (12, 9, 12))]
    graphs = recorded_passes(model, compute, SIZES, IDS)
    assert graphs is not None
    found = []
    for _ in range(2):
        torch.manual_seed(1)
        graphs.clear_gradients()
        found.append([gradients(model, graphs, item, compute) for item in items])
    torch.testing.assert_close(*found, rtol=0, atol=0)
    model.eval()
    graphs = PassGraphs(model, compute, SIZES, 10, CudaRecorder())  # recorded without dropout
    for item in items:
        replayed, ordinary = both(model, graphs, item, compute)
        torch.testing.assert_close(replayed, ordinary, rtol=3e-2, atol=3e-2)
