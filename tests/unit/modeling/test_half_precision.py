"""What is done for speed changes a training in bf16 no more than rounding does."""

import json
from itertools import combinations

import numpy as np
import pytest
from stiltgrid.modeling.backbone import Backbone
from stiltgrid.training import trainable
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_target
from tiny_models import MODEL, sequence_card, with_settings, write_backbone, write_task

STEPS = 50


@pytest.fixture
def losses_of(tmp_path, tiny_tokenizer_folder, monkeypatch):
    """Losses of fifty steps in bf16, by the micro-batches that they are cut into."""
    write_backbone(tmp_path / "backbone", tiny_tokenizer_folder)
    task = write_task(tmp_path / "toy", tiny_tokenizer_folder, sequence_card(), train=400)
    monkeypatch.setattr("stiltgrid.modeling.heads.DROPOUT", 0.0)

    def run(name, micro_batch_tokens):
        settings = {"precision": "bf16", "batch_size": 8, "learning_rate": 0.002, "evaluate_every": 10**9}
        own = with_settings(task, max_steps=STEPS, epochs=20.0, micro_batch_tokens=micro_batch_tokens, **settings)
        paths = TrainingPaths(tmp_path / "backbone", tiny_tokenizer_folder, tmp_path / name)
        train_target(paths, TrainingJob(MODEL, [own], seed=1))
        lines = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        return np.array([line["loss"] for line in lines if "loss" in line])

    return run


def apart(first, second):
    return float(np.sqrt(np.mean((first - second) ** 2)))


def test_packing_and_the_vocabulary_subset_stay_within_the_spread_of_two_plain_runs(losses_of, monkeypatch):
    fast = losses_of("fast", 4096)
    monkeypatch.setattr(Backbone, "enable_packing", lambda self, compute: False)
    monkeypatch.setattr(trainable, "use_subset", lambda *given: None)
    # The same examples a step, added up in another order: what differs is rounding.
    plain = [losses_of(f"plain{limit}", limit) for limit in (4096, 100, 60)]
    spread = max(apart(one, other) for one, other in combinations(plain, 2))
    assert len(fast) == STEPS and spread > 1e-5, "bf16 rounds: two plain runs differ"
    # One of four runs is always the odd one, by chance another one on another machine; a fault is a hundred times this.
    assert np.median([apart(fast, each) for each in plain]) <= 3 * spread
