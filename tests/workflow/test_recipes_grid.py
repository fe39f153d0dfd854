"""One row of every kind in one small grid of the mini-lab, and what a change of a recipe runs again."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
from repository import GRID, Repository, counts
from safetensors.numpy import load_file

TINY = {**GRID["models"]["tiny"]["pretrain"], "languages": ["en", "qaa"], "sequence_length": 64}
TINY["architecture"] = {**TINY["architecture"], "num_hidden_layers": 1}
RECIPES: Mapping[str, Any] = {
    "{row}+mlm": {"like": "{row}", "mlm": {"languages": ["en", "qab"], "rate": 0.5, "batch_size": 4}},
    "mix": {"tasks": ["copa", "hellaswag"], "sampling": "uniform"},
    "elsewhere": {"like": "mix", "languages": ["en", "qaa"], "data": "translate_train"},
    "native": {"tasks": ["tydiqa"], "languages": ["qaa", "qab"]},
    "few": {"like": "mix", "examples": 20},
    "each": {"like": "mix", "examples": {"copa": 5, "hellaswag": 15}},
    "more": {"tasks": ["copa"], "examples": 30, "upsample": True},
    "best": {"tasks": ["hellaswag", "copa", "mnli"], "top": 2},
    "chain": {"sequence": ["copa", "mix"]},
    "longer": {"sequence": ["copa", "mix", "few"]},
    "text": {"mlm": {"languages": ["en"], "steps": 3, "batch_size": 4}},
}
ROWS = ["none", "mix", "mix+mlm", "copa+mlm", "elsewhere", "native", "few", "each", "more", "best", "longer", "text"]
SCORED = ["none", "mix+mlm", "longer"]
LAB: Mapping[str, Any] = {
    "source": "minilab",
    "world": {
        "seed": 1, "train_examples": 100, "eval_examples": 10, "documents": 120, "languages": ["en", "qaa", "qab"]
    },
    "models": {"tiny": {"pretrain": TINY, "pooling": "mean"}},
    "intermediates": ROWS,
    "targets": ["tatoeba"],
    "seeds": [1],
    "recipes": RECIPES,
    "tasks": {"tydiqa": {"dev_from_train": 10}},
    "training": {"all": {"max_steps": 2, "batch_size": 4, "dev_examples": 5}},
}  # fmt: skip
# All rows are trained; that they score is shown by some, whose checkpoints have the same form.
WANTED = [
    *(f"results/intermediate/tiny/{row}/seed1/model.safetensors" for row in ROWS[1:]),
    *(f"results/scores/tiny/{row}/tatoeba/seed1/metrics.json" for row in SCORED),
]
EXPORTS = ["results/exports/xtreme_partial/tiny/mix+mlm/seed1", "results/exports/checkpoints/tiny/mix+mlm/seed1"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    repository = Repository(tmp_path_factory.mktemp("recipes"))
    repository.configure(LAB)
    repository.first = repository.run(*WANTED)
    yield repository


def record(lab: Repository, row: str) -> dict[str, Any]:
    folder = lab.folder / f"results/intermediate/tiny/{row}/seed1"
    found: dict[str, Any] = json.loads((folder / "training.json").read_text())["stages"][0]
    return found


def test_every_kind_of_row_is_trained_and_nothing_twice(lab: Repository) -> None:
    found = counts(lab.first)
    # Of `longer` also its first step `copa` and the two together, which is the row `chain` that nobody scores.
    assert found["train_intermediate"] == len(ROWS) - 1 + 2 and found["score_target"] == len(SCORED)
    assert found["prepare_train"] == 2 and found["prepare_variant"] == 3, "mix's two in two languages, and TyDiQA"
    assert (found["prepare_text"], found["encode_text"]) == (1 + 2, 2), "rows with the same text share it"
    assert found["count_examples"] == 3, "few, each, and longer, which ends with few"


def test_what_each_row_was_trained_on(lab: Repository) -> None:
    sizes = {row: {task["name"]: task["examples"] for task in record(lab, row)["tasks"]} for row in ROWS[1:]}
    whole = sizes["mix"]
    assert sizes["elsewhere"] == {task: 2 * count for task, count in whole.items()}
    assert sizes["few"] == {"copa": 10, "hellaswag": 10} and sizes["each"] == RECIPES["each"]["examples"]
    assert sizes["more"] == {"copa": 30} and whole["copa"] == 10
    assert sizes["best"] == {"hellaswag": whole["hellaswag"], "copa": 10}
    steps = {task["name"]: task["steps"] for task in record(lab, "copa+mlm")["tasks"]}
    assert steps == {"copa": 2, "mlm": 2} and record(lab, "text")["steps"] == 3
    assert record(lab, "mix+mlm")["tasks"][-1]["head"] == "pretrained"
    rows = pq.read_table(lab.folder / "results/data/tydiqa+original+qaa-qab/train.parquet", columns=["language"])
    assert set(rows.column("language").to_pylist()) == {"qaa", "qab"}


def test_only_the_backbone_crosses_and_a_chain_goes_on_from_the_step_before(lab: Repository) -> None:
    keys = {row: load_file(lab.folder / f"results/intermediate/tiny/{row}/seed1/model.safetensors").keys()
            for row in ("copa+mlm", "text", "longer")}  # fmt: skip
    backbone = load_file(lab.folder / "results/models/tiny/backbone/model.safetensors").keys()
    assert all(found == backbone for found in keys.values())
    trained = {job.wildcards["intermediate"]: job for job in lab.first if job.rule == "train_intermediate"}
    [before] = [name for name in trained["longer"].inputs if name.endswith("model.safetensors")]
    # Its own beginning, copa and then mix, is trained under some name, and begins with copa.
    first = trained[before.split("/")[3]]
    assert "results/intermediate/tiny/copa/seed1/model.safetensors" in first.inputs


def test_any_row_can_be_a_submission_and_a_folder(lab: Repository) -> None:
    """A row of a template has a plus sign in its name. What was made is not made again."""
    found = counts(lab.pending(*WANTED, *EXPORTS))
    others = len(ROWS) - len(SCORED)
    made = {"export_benchmark": 1, "export_checkpoint": 1, "collect_scores": 1, "test_gains": 1}
    assert found == {**made, "score_target": others}


def test_a_changed_rate_runs_its_rows_again_and_no_others(lab: Repository) -> None:
    mlm = {**RECIPES["{row}+mlm"], "mlm": {**RECIPES["{row}+mlm"]["mlm"], "rate": 0.4}}
    lab.configure({**LAB, "recipes": {**RECIPES, "{row}+mlm": mlm}})
    pending = lab.pending(*WANTED)
    lab.configure(LAB)
    assert counts(pending) == {"train_intermediate": 2, "score_target": 1}
    assert {job.wildcards["intermediate"] for job in pending} == {"mix+mlm", "copa+mlm"}
