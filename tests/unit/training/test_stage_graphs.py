"""CUDA graphs in a stage, emulated: the same weights as without, the same numbers when a job resumes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.grid import Model, Recipe
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.packing import VARLEN
from stiltgrid.modeling.planning import PassCost
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.training import stage as stage_module
from stiltgrid.training import stage_graphs
from stiltgrid.training.process_group import SINGLE_PROCESS, ProcessGroup
from stiltgrid.training.stage import Stage
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.training.stage_state import restore_stage, stage_state
from stiltgrid.training.training_data import draw_schedule, load_stage_task
from stiltgrid.training.training_run import stage_record
from tape_recorder import TapeRecorder
from tiny_models import sequence_card, with_settings, write_backbone, write_task
from varlen_reference import VarlenReference

CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    """Passes of up to 400 tokens are short ones, and there are kernels for unequal lengths."""
    monkeypatch.setattr(stage_module, "pass_cost", lambda *_: PassCost(floor=200.0))
    with VarlenReference().registered():
        yield


class Made:
    """Stages of one plan, each with the same new backbone and heads."""

    def __init__(self, folder: Any, tokenizer: Any, names: tuple[str, ...] = ("toy",), **settings: Any) -> None:
        self.tokenizer = tokenizer
        self.folder = write_backbone(folder / "backbone", tokenizer)
        every = {"batch_size": 8, "epochs": 1.0, "evaluate_every": 4, **settings}
        tasks = [with_settings(write_task(folder / name, tokenizer, sequence_card(name)), **every) for name in names]
        self.tasks = [load_stage_task(task, seed=1) for task in tasks]
        schedule = draw_schedule(self.tasks, Recipe("row", tuple(names), sampling="uniform"), None, seed=1)
        self.plan = StagePlan("stage", self.tasks, schedule, self.tasks[0].settings, 1)

    def stage(self, recorder: TapeRecorder | None, group: Any = SINGLE_PROCESS, **changes: Any) -> Stage:
        backbone = load_backbone(self.folder)
        backbone.enable_packing(CPU)
        backbone.use_packed_attention(VARLEN)
        reader = Reader(read_special_tokens(self.tokenizer), Model("tiny", pooling="mean"))
        torch.manual_seed(3)
        heads = torch.nn.ModuleDict({task.card.name: task.build_head(backbone, reader) for task in self.tasks})
        model = StageModel(backbone, heads, reader, CPU)
        make = None if recorder is None else lambda: recorder
        return Stage(replace(self.plan, **changes), model, group, make_recorder=make)


def weights(stage: Stage) -> list[torch.Tensor]:
    return [item.detach().clone() for item in stage.parameters]


def take_steps(count: int, *stages: Stage) -> None:
    """Steps of task 0 in each stage, with the same dropout."""
    for number in range(count):
        for stage in stages:
            torch.manual_seed(number)
            stage.step(0)


@pytest.fixture
def made(tmp_path, tiny_tokenizer_folder) -> Made:
    return Made(tmp_path, tiny_tokenizer_folder)


def test_a_stage_learns_what_it_learns_without_graphs(made):
    recorder = TapeRecorder()
    plain, graphed = made.stage(None), made.stage(recorder)
    assert plain.graphs is None and graphed.graphs is not None
    for stage in (plain, graphed):
        torch.manual_seed(5)  # of dropout in the head
        stage.run()
    assert recorder.replays >= 2 * graphed.state.step, "forward and backward of every step, and the trial's"
    torch.testing.assert_close(weights(graphed), weights(plain), rtol=1e-4, atol=1e-5)
    losses = [[line["loss"] for line in stage.state.log if "loss" in line] for stage in (plain, graphed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and len(losses[0]) == 12
    assert graphed.state.evaluations == plain.state.evaluations
    assert all(item.grad is None for item in graphed.parameters), "the next stage begins without gradients"
    assert stage_record(graphed, 1.0)["cuda_graph_tokens"] == list(graphed.graphs.sizes.tokens)
    assert "cuda_graph_tokens" not in stage_record(plain, 1.0)


def operations(recorder: TapeRecorder) -> list[set[str]]:
    return [{call[0].name().partition(".")[0] for call in tape.calls} for tape in recorder.tapes]


def test_the_update_is_recorded_once_and_reads_the_rates_as_they_are(made):
    recorder = TapeRecorder()
    stage, plain = made.stage(recorder), made.stage(None)
    before = len(recorder.tapes)
    take_steps(5, stage, plain)
    assert len(recorder.tapes) == before + 1 and "aten::_fused_adamw_" in operations(recorder)[-1]
    assert recorder.tapes[-1].calls[0][0].name().startswith("aten::_foreach_norm"), "clipping is part of it"
    torch.testing.assert_close(weights(stage), weights(plain), rtol=1e-4, atol=1e-5)
    norms = [[line["gradient_norm"] for line in each.state.log] for each in (stage, plain)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4) and len(set(norms[0])) == 5
    assert not any(group["capturable"] for optimizer in stage.optimizers for group in optimizer.param_groups)


class Refusing(TapeRecorder):
    """Records passes but no optimizer's step."""

    def record(self, function: Any) -> Any:
        if "_update" in function.__code__.co_names:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        return super().record(function)


def test_an_update_that_cannot_be_recorded_is_computed_without(made, caplog):
    stage, plain = made.stage(Refusing()), made.stage(None)
    caplog.clear()
    take_steps(4, stage, plain)
    assert [record.getMessage() for record in caplog.records] == [
        "weights are updated without CUDA graphs: RuntimeError: operation not permitted when stream is capturing"
    ]
    torch.testing.assert_close(weights(stage), weights(plain), rtol=1e-4, atol=1e-5)


def test_muon_reads_its_rates_on_the_host_and_is_not_recorded(tmp_path, tiny_tokenizer_folder):
    made = Made(tmp_path, tiny_tokenizer_folder, optimizer="muon")
    recorder = TapeRecorder()
    stage, plain = made.stage(recorder), made.stage(None)
    before = len(recorder.tapes)
    take_steps(4, stage, plain)
    assert len(recorder.tapes) == before > 0
    torch.testing.assert_close(weights(stage), weights(plain), rtol=1e-3, atol=1e-4)


def test_running_out_of_memory_once_changes_no_step(made, monkeypatch):
    stage, plain = made.stage(TapeRecorder()), made.stage(None)
    gradients = stage._backward
    failed = []

    def once(*arguments: Any) -> torch.Tensor:
        found = gradients(*arguments)
        if stage.state.step == 2 and not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    monkeypatch.setattr(stage, "_backward", once)
    for _ in range(5):
        for each in (stage, plain):
            each.model.heads.eval()  # without dropout, which other micro-batches draw otherwise
            each.step(0)
    assert failed and stage.state.limits[0] < plain.state.limits[0]
    torch.testing.assert_close(weights(stage), weights(plain), rtol=1e-4, atol=1e-5)


def test_tokens_that_fill_batches_up_are_counted_as_computed(made):
    plain, graphed = made.stage(None), made.stage(TapeRecorder())
    for stage in (plain, graphed):
        stage.run()
    assert graphed.state.tokens.real == plain.state.tokens.real == plain.state.tokens.computed
    sizes = graphed.graphs.sizes.tokens
    lines = [line for line in graphed.state.log if "computed_tokens" in line]
    assert all(line["computed_tokens"] in sizes and line["computed_tokens"] >= line["tokens"] for line in lines)
    assert graphed.state.tokens.computed == sum(line["computed_tokens"] for line in lines)
    assert 0 < graphed.state.tokens.padding_share < 0.2


def test_a_resumed_stage_gives_the_same_numbers(made):
    whole = made.stage(TapeRecorder())
    torch.manual_seed(5)
    for number in range(8):
        whole.step(int(whole.plan.schedule[number]))
    first = made.stage(TapeRecorder())
    torch.manual_seed(5)
    for number in range(4):
        first.step(int(first.plan.schedule[number]))
    saved = stage_state(first)
    resumed = made.stage(TapeRecorder())
    restore_stage(resumed, saved)
    for number in range(4, 8):
        resumed.step(int(resumed.plan.schedule[number]))
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)
    assert resumed.graphs.sizes == whole.graphs.sizes


def test_heads_of_other_tasks_are_left_alone(tmp_path, tiny_tokenizer_folder):
    made = Made(tmp_path, tiny_tokenizer_folder, ("one", "two"))
    stage, plain = made.stage(TapeRecorder()), made.stage(None)
    for number in range(3):
        for each in (stage, plain):
            torch.manual_seed(number)
            each.step(number % 2)
    torch.testing.assert_close(weights(stage), weights(plain), rtol=1e-4, atol=1e-5)
    before = {key: value.clone() for key, value in stage.model.heads["two"].state_dict().items()}
    stage.step(0)
    torch.testing.assert_close(stage.model.heads["two"].state_dict(), before, rtol=0, atol=0)


def test_micro_batches_over_the_largest_size_run_without_graphs(made, monkeypatch):
    recorder = TapeRecorder()
    stage, plain = made.stage(recorder), made.stage(None)
    trial = recorder.replays
    for each in (stage, plain):
        monkeypatch.setattr(each.orders[0], "take", lambda count: np.arange(40))
        torch.manual_seed(5)
        each.step(0)
    assert recorder.replays == trial
    torch.testing.assert_close(weights(stage), weights(plain), rtol=1e-5, atol=1e-6)


def test_where_graphs_are_not_recorded(made, monkeypatch, caplog):
    assert made.stage(None).graphs is None, "a CPU has none"
    for changes in ({"cuda_graphs": False}, {"gradient_checkpointing": True}):
        settings = made.plan.settings.override(changes)
        assert made.stage(TapeRecorder(), settings=settings).graphs is None, changes
    monkeypatch.setattr(stage_module, "pass_cost", lambda *_: PassCost(floor=1.0))
    caplog.set_level("INFO")
    assert made.stage(TapeRecorder()).graphs is None
    assert "no CUDA graphs" in caplog.text


class WithAnother(ProcessGroup):
    """A process whose partner has no graphs."""

    def maximum(self, value: int) -> int:
        return 1


def test_of_several_processes_all_have_graphs_or_none(made):
    assert made.stage(TapeRecorder(), WithAnother()).graphs is None


def test_a_weight_that_is_first_reached_later_ends_the_replays(made, monkeypatch, caplog):
    recorder = TapeRecorder()
    stage, plain = made.stage(recorder), made.stage(None)
    late = stage.model.heads["toy"], plain.model.heads["toy"]
    weights_late = [next(head.parameters()) for head in late]
    for weight in weights_late:
        weight.requires_grad_(False)
    caplog.clear()
    for number in range(6):
        for each, weight in zip((stage, plain), weights_late, strict=True):
            weight.requires_grad_(number >= 4)
            torch.manual_seed(number)
            each.step(0)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "this step trains other weights than the first one did"
    ]
    torch.testing.assert_close(weights(stage), weights(plain), rtol=1e-4, atol=1e-5)


def test_short_stages_are_not_worth_recording(made, monkeypatch):
    asked = []
    monkeypatch.setattr(stage_graphs, "recorded_passes", lambda *arguments: asked.append(arguments))
    gpu = Compute(torch.device("cuda"), torch.float32)
    stage = made.stage(None)
    model = replace(stage.model, compute=gpu)
    for steps in (stage_graphs.FEWEST_STEPS - 1, stage_graphs.FEWEST_STEPS):
        plan = replace(stage.plan, schedule=np.zeros(steps, dtype=np.int64))
        stage_graphs.stage_graphs(plan, model, stage.micro_batches, PassCost(floor=200.0))
    assert len(asked) == 1


@pytest.mark.gpu
def test_a_gpu_learns_with_graphs_what_it_learns_without_and_the_same_each_time(made, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU; there is none")
    monkeypatch.setattr(stage_graphs, "FEWEST_STEPS", 1)
    gpu = Compute(torch.device("cuda"), torch.bfloat16)
    found: dict[bool, list[list[torch.Tensor]]] = {True: [], False: []}
    for graphs in (True, True, False):
        stage = made.stage(None)
        model = replace(stage.model, backbone=stage.model.backbone.cuda(), heads=stage.model.heads.cuda(), compute=gpu)
        settings = made.plan.settings.override({"cuda_graphs": graphs})
        stage = Stage(replace(made.plan, settings=settings), model)
        assert (stage.graphs is not None) == graphs
        torch.manual_seed(5)
        stage.run()
        found[graphs].append(weights(stage))
    torch.testing.assert_close(*found[True], rtol=0, atol=0)
    norms = [torch.cat([item.reshape(-1) for item in each]).norm() for each in (found[True][0], found[False][0])]
    torch.testing.assert_close(*norms, rtol=1e-2, atol=0)
