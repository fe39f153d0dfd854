"""Steps ask the device for nothing: no number is read back, no shape depends on one, so GPUs never stand still."""

from typing import Any

import numpy as np
import pytest
import torch
from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model, TrainingSettings
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.batching import make_batch
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.tasks.families import family
from stiltgrid.training.stage import Stage
from stiltgrid.training.stage_plan import StageModel, StagePlan
from stiltgrid.training.step_log import STEPS_BETWEEN_READS
from stiltgrid.training.training_data import StageTask
from tiny_models import write_backbone
from torch.utils._python_dispatch import TorchDispatchMode
from waiting import waits

HIDDEN = 8
COLUMNS: dict[str, dict[str, list[Any]]] = {
    "sequence": {"label": [0, 1, 1, 0]},
    "choice": {"example": [0, 0, 1, 1], "option": [0, 1, 0, 1], "gold": [1, 0, 0, 1]},
    "tagging": {"tag": [[-100, 0, 1], [1, -100], [-100, 1, 1, 0], [0]]},
    "span": {"start": [1, 0, 2, 0], "end": [2, 1, 3, 0]},
    "dual": {"example": [0, 0, 1, 1], "side": [0, 1, 0, 1], "group": [0, 0, 1, 1]},
}


class Waits(Exception):
    """An operation whose result the processor must wait for."""


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a GPU's host wait."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if name := waits(function, args):
            raise Waits(name)
        return function(*args, **(kwargs or {}))


def batch_of(kind: str, packed: bool) -> Any:
    columns = {"input_ids": [[5, 6, 7], [8, 9], [5, 7, 9, 6], [4]], "example": [0, 1, 2, 3], **COLUMNS[kind]}
    return make_batch(Encoded(to_table(columns)), range(4), 1, packed=packed)


def test_what_waits_is_refused():
    for operation in (lambda x: x.max().item(), lambda x: x[x > 1], lambda x: x.nonzero()):
        with pytest.raises(Waits), NoWaiting():
            operation(torch.arange(3))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", COLUMNS)
def test_no_loss_waits_for_the_device(kind, packed):
    batch = batch_of(kind, packed)
    labels = ("a", "b")
    card = TaskCard("task", kind, "", "", ("en",), "accuracy", 64, labels=labels)
    chosen = family(kind)
    head = chosen.build_head(card, HIDDEN)
    states = torch.randn(*batch.input_ids.shape, HIDDEN, requires_grad=True)
    with NoWaiting():
        chosen.loss(card, head, states, batch).backward()
    assert np.isfinite(states.grad.sum().item())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_no_step_waits_before_its_losses_are_read(optimizer, tmp_path, tiny_tokenizer_folder):
    columns = {"input_ids": [[5, 6, 7], [8, 9], [5, 7, 9, 6], [4]], "example": [0, 1, 2, 3], **COLUMNS["sequence"]}
    data = Encoded(to_table(columns))
    card = TaskCard("task", "sequence", "", "", ("en",), "accuracy", 64, labels=("a", "b"))
    settings = TrainingSettings(batch_size=2, epochs=3.0, optimizer=optimizer, evaluate_every=10**9)
    task = StageTask(card, family("sequence"), settings, data, data.example_offsets, np.arange(4), None, None)
    reader = Reader(read_special_tokens(tiny_tokenizer_folder), Model("model", pooling="mean"))
    backbone = load_backbone(write_backbone(tmp_path / "backbone", tiny_tokenizer_folder))
    heads = torch.nn.ModuleDict({"task": task.build_head(backbone, reader)})
    schedule, compute = np.zeros(6, dtype=np.int64), Compute(torch.device("cpu"), torch.float32)
    model = StageModel(backbone, heads, reader, compute)
    stage = Stage(StagePlan("stage", [task], schedule, settings, 1), model, read_every=STEPS_BETWEEN_READS)
    assert stage.packed
    with NoWaiting():
        for _ in range(4):
            stage.step(0)
    assert stage.state.step == 4 and not stage.state.log, "losses stay on the device"
    stage.log.read()
    assert [line["step"] for line in stage.state.log] == [1, 2, 3, 4]
