"""Attention by kernels for unequal lengths: what padded attention gives, without padding. Kernels are emulated."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from stiltgrid.evaluation.prediction import Predictor, Reader, TokenCount, predict_all
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.modeling.batching import make_batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.packing import GROUPED, VARLEN, grouped_attention, pack
from stiltgrid.modeling.packing_trial import packing_fault
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.modeling.varlen import Attended, strictly_deterministic, varlen_attention
from stiltgrid.tasks.families import family
from tiny_models import SHAPE
from transformers import AutoConfig, AutoModel
from varlen_reference import VarlenReference

LENGTHS = (5, 12, 5, 3, 12, 1, 9)
DTYPES = (torch.float32, torch.bfloat16)
CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture
def kernels() -> Iterator[VarlenReference]:
    with VarlenReference().registered() as reference:
        yield reference


@pytest.fixture
def warning_mode() -> Iterator[None]:
    """PyTorch's deterministic mode as jobs set it on a GPU."""
    torch.set_deterministic_debug_mode("warn")
    yield
    torch.set_deterministic_debug_mode("default")


def backbone(dtype: torch.dtype = torch.float32, **shape: object) -> Backbone:
    torch.manual_seed(3)
    config = AutoConfig.for_model("xlm-roberta", vocab_size=90, pad_token_id=1, **{**SHAPE, **shape})
    return Backbone(AutoModel.from_config(config).to(dtype))


def encoded(lengths: tuple[int, ...] = LENGTHS, **columns: object) -> Encoded:
    random = np.random.default_rng(1)
    ids = [random.integers(10, 90, length) for length in lengths]
    return Encoded(to_table({"input_ids": ids, "example": list(range(len(ids))), **columns}))


def rows_of(dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(2)
    return [torch.randn(sum(LENGTHS), 2, 16).to(dtype).requires_grad_() for _ in range(3)]


def test_the_operators_have_the_arguments_that_are_passed():
    """PyTorch keeps these operators to itself; a version that changes them must be noticed on a CPU."""
    schemas = {name: str(getattr(torch.ops.aten, name).default._schema) for name in (
        "_flash_attention_forward", "_flash_attention_backward", "_efficient_attention_forward",
        "_efficient_attention_backward",
    )}  # fmt: skip
    begins = {
        "_flash_attention_forward": "Tensor query, Tensor key, Tensor value, Tensor? cum_seq_q, Tensor? cum_seq_k, "
        "SymInt max_q, SymInt max_k, float dropout_p, bool is_causal, bool return_debug_mask, *, float? scale",
        "_flash_attention_backward": "Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor out, Tensor "
        "logsumexp, Tensor cum_seq_q, Tensor cum_seq_k, SymInt max_q, SymInt max_k, float dropout_p, bool is_causal, "
        "Tensor rng_state, Tensor unused, *, float? scale",
        "_efficient_attention_forward": "Tensor query, Tensor key, Tensor value, Tensor? bias, Tensor? cu_seqlens_q, "
        "Tensor? cu_seqlens_k, SymInt? max_seqlen_q, SymInt? max_seqlen_k, float dropout_p, int custom_mask_type, bool "
        "compute_log_sumexp=False, *, float? scale",
        "_efficient_attention_backward": "Tensor grad_out_, Tensor query, Tensor key, Tensor value, Tensor? bias, "
        "Tensor out, Tensor? cu_seqlens_q, Tensor? cu_seqlens_k, SymInt max_seqlen_q, SymInt max_seqlen_k, Tensor "
        "logsumexp, float dropout_p, Tensor philox_seed, Tensor philox_offset, int custom_mask_type, "
        "bool bias_requires_grad, *, float? scale",
    }
    for name, schema in schemas.items():
        assert schema.startswith(f"aten::{name}({begins[name]}"), schema


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
def test_states_and_gradients_are_those_of_padded_attention(causal, dtype, kernels):
    packing, attended = pack(np.array(LENGTHS)), Attended(0.0, causal, 0.3)
    above = torch.randn(sum(LENGTHS), 2, 16).to(dtype)
    found = []
    for kernel in (lambda rows: varlen_attention(rows, packing.offsets, packing.longest, attended),
                   lambda rows: grouped_attention(rows, packing, attended)):  # fmt: skip
        rows = rows_of(dtype)
        states = kernel(rows)
        found.append([states.detach(), *torch.autograd.grad(states, rows, above)])
    tolerance = {} if dtype == torch.float32 else {"rtol": 3e-2, "atol": 3e-2}
    torch.testing.assert_close(*found, **tolerance)
    name = "efficient" if dtype == torch.float32 else "flash"
    assert kernels.calls == [(name, torch.Size((sum(LENGTHS), 2, 16)), 0.0)]


def test_the_layout_has_offsets_and_no_tables_unless_groups_are_read():
    packing = pack(np.array(LENGTHS))
    assert packing.offsets.tolist() == [0, 5, 17, 22, 25, 37, 38, 47] and packing.offsets.dtype == torch.int32
    assert packing.longest == 12
    moved: list[int] = []
    packing.to(lambda tensor: moved.append(tensor.numel()) or tensor)
    assert moved == [47, 8], "positions and offsets are all that goes to a device"
    assert "groups" not in vars(packing)
    assert packing.attended >= 47 and "groups" in vars(packing)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_drops_the_same_weights_in_both_passes(dtype, kernels):
    """The reference recomputes the states from the saved random state and refuses others."""
    packing, attended = pack(np.array(LENGTHS)), Attended(0.5, False, None)
    rows = rows_of(dtype)
    torch.manual_seed(5)
    states = varlen_attention(rows, packing.offsets, packing.longest, attended)
    again = varlen_attention(rows, packing.offsets, packing.longest, attended)
    assert not torch.equal(states, again), "another pass, other weights"
    states.float().sum().backward()
    torch.manual_seed(5)
    assert torch.equal(states, varlen_attention(rows, packing.offsets, packing.longest, attended))
    assert all(row.grad is not None and torch.isfinite(row.grad).all() for row in rows)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_computed_in_the_strict_mode_and_the_mode_returns(dtype, kernels, warning_mode):
    packing = pack(np.array(LENGTHS))
    rows = rows_of(dtype)
    varlen_attention(rows, packing.offsets, packing.longest, Attended(0.0, False, None)).float().sum().backward()
    assert kernels.modes == [2], "in mode 1 the kernels only warn that they are not deterministic"
    assert torch.get_deterministic_debug_mode() == 1
    with pytest.raises(ValueError), strictly_deterministic():
        raise ValueError
    assert torch.get_deterministic_debug_mode() == 1


def test_without_the_mode_nothing_is_asked_of_the_kernels(kernels):
    packing = pack(np.array(LENGTHS))
    rows = rows_of(torch.float32)
    varlen_attention(rows, packing.offsets, packing.longest, Attended(0.0, False, None)).sum().backward()
    assert kernels.modes == [0]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_trial_takes_the_kernels_as_they_will_run(dtype, checkpointing, kernels):
    model = backbone(attention_probs_dropout_prob=0.1).train()
    assert model.enable_packing(CPU)  # registers the attentions
    model.use_packed_attention(VARLEN)
    if checkpointing:
        model.checkpoint_gradients()
    assert packing_fault(model, model.vocabulary_size, Compute(CPU.device, dtype)) == ""
    names, _, dropouts = zip(*kernels.calls, strict=True)
    assert set(names) == {"efficient" if dtype == torch.float32 else "flash"}
    assert set(dropouts) == {0.0, 0.1}, "without dropout to compare, with it as in training"


def test_a_device_without_kernels_falls_back_with_one_line(caplog):
    model = backbone().train()
    model.enable_packing(CPU)
    model.use_packed_attention(VARLEN)
    assert "_efficient_attention_forward" in packing_fault(model, model.vocabulary_size, CPU)


def test_weights_in_half_precision_are_packed_where_that_is_right(kernels):
    """As a scoring job on a GPU reads them: no float32 weights to compare with, no gradients."""
    model, compute = backbone(torch.bfloat16), Compute(CPU.device, torch.bfloat16)
    with torch.no_grad():
        assert model.enable_packing(compute)
        for attention in (VARLEN, GROUPED):
            model.use_packed_attention(attention)
            assert packing_fault(model, model.vocabulary_size, compute) == ""
    assert not kernels.modes


def test_packing_that_was_tried_for_scoring_is_tried_again_for_training():
    model = backbone()
    with torch.no_grad():
        assert model.enable_packing(CPU)
    model.use_packed_attention(None)
    with torch.no_grad():
        assert not model.enable_packing(CPU), "tried before"
    assert model.enable_packing(CPU)


FAMILIES = {
    "sequence": {"label": [0] * len(LENGTHS)},
    "choice": {"option": [0] * len(LENGTHS), "gold": [1] * len(LENGTHS)},
    "tagging": {"tag": [[0] * length for length in LENGTHS]},
    "span": {name: [list(range(length)) for length in LENGTHS] for name in ("char_start", "char_end", "may_start")},
    "dual": {"side": [0] * len(LENGTHS), "group": list(range(len(LENGTHS)))},
    "embedding": {},
}


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("pooling", ["cls", "mean", "mean_all"])
def test_packed_predictions_are_those_of_padded_batches(kind, pooling, kernels, tiny_tokenizer_folder):
    data = encoded(**FAMILIES[kind])
    card = TaskCard("task", kind, "", "", ("en",), "accuracy", 64, labels=("a", "b"))
    chosen, model = family(kind), backbone().eval()
    model.enable_packing(CPU)
    torch.manual_seed(4)
    head = None if kind in ("embedding", "dual") else chosen.build_head(card, model.hidden_size)
    reader = Reader(read_special_tokens(tiny_tokenizer_folder), Model("model", pooling=pooling))
    predictor = Predictor(model, head, chosen, card, reader, CPU)
    found, counts = [], []
    for attention in (GROUPED, VARLEN):
        model.use_packed_attention(attention)
        counts.append(TokenCount())
        found.append(predict_all(predictor, data, 30, counts[-1], (0, 1, 2)))
        assert bool(kernels.calls) is (attention == VARLEN), "on a CPU batches stay padded"
    assert counts[0].real == counts[1].real == counts[1].computed < counts[0].computed
    for padded, packed in zip(*found, strict=True):
        np.testing.assert_allclose(packed, padded, rtol=1e-4, atol=1e-5)


def test_a_gpu_packs_evaluations_and_a_cpu_does_not():
    model, gpu = backbone(), Compute(torch.device("cuda"), torch.bfloat16)
    asked: list[bool] = []

    def enable(compute: Compute) -> bool:
        asked.append(torch.is_grad_enabled())
        model.use_packed_attention(VARLEN)
        return True

    model.enable_packing = enable  # type: ignore[method-assign]
    assert not model.packs_evaluation(CPU) and asked == []
    assert model.packs_evaluation(gpu) and asked == [False], "no gradient is computed for it"


def test_pools_read_a_packed_layout_with_short_offsets():
    model = backbone().eval()
    model.enable_packing(CPU)
    batch = make_batch(encoded(), range(len(LENGTHS)), 1, packed=True)
    states = torch.arange(float(sum(LENGTHS)))[None, :, None]
    assert batch.pool(states, "cls").flatten().tolist() == [0, 5, 17, 22, 25, 37, 38]
    assert batch.pool(states, "last").flatten().tolist() == [4, 16, 21, 24, 36, 37, 46]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gpu_computes_what_the_reference_says_and_the_same_each_time(dtype, warning_mode):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU; there is none")
    packing, above = pack(np.array(LENGTHS)), torch.randn(sum(LENGTHS), 2, 16).to(dtype)
    offsets = packing.offsets.cuda()

    def on_gpu(attended: Attended) -> list[torch.Tensor]:
        torch.manual_seed(6)
        rows = [row.detach().cuda().requires_grad_() for row in rows_of(dtype)]
        states = varlen_attention(rows, offsets, packing.longest, attended)
        return [item.cpu() for item in (states.detach(), *torch.autograd.grad(states, rows, above.cuda()))]

    for causal in (False, True):
        attended = Attended(0.0, causal, 0.3)
        rows = rows_of(dtype)
        states = grouped_attention(rows, packing, attended)
        expected = [states.detach(), *torch.autograd.grad(states, rows, above)]
        tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 3e-2, "atol": 3e-2}
        torch.testing.assert_close(on_gpu(attended), expected, **tolerance)
    dropped = [on_gpu(Attended(0.3, False, None)) for _ in range(3)]
    assert all(torch.equal(*pair) for other in dropped[1:] for pair in zip(dropped[0], other, strict=True))
