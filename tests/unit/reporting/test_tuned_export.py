"""An exported tuned model gives this project's predictions by the code in its own card, with transformers alone."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import ModelCard
from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.evaluation.scoring import ScoringSettings, score_target
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import Backbone, load_backbone
from stiltgrid.modeling.checkpoints import save_tuned
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.preparation.encode import encode_file
from stiltgrid.reporting.exported_card import CardFacts, TaskFacts
from stiltgrid.reporting.exported_results import TargetResult
from stiltgrid.reporting.head_forms import load_predictor, scores, trial_batch
from stiltgrid.reporting.tuned_export import CardContent, ExportSettings, export_tuned
from stiltgrid.tasks.families import family
from transformers import AutoConfig, AutoModelForSequenceClassification

TEXTS = ("one", "two lamps", "a boat on the market", "bread and honey", "the old cliff", "blue night white",
         "老灯塔", "spring", "hundreds of villagers paint boats blue and white before the first market")  # fmt: skip
CARDS: Mapping[str, TaskCard] = {
    "sequence": TaskCard("pairs", "sequence", "", "", ("en",), "accuracy", 64, labels=("yes", "no", "maybe")),
    "tagging": TaskCard("tags", "tagging", "", "", ("en",), "accuracy", 64, labels=("A", "B", "C"),
                        options={"scheme": "plain"}),
    "span": TaskCard("questions", "span", "", "", ("en",), "f1", 64),
    "choice": TaskCard("options", "choice", "", "", ("en",), "accuracy", 64),
}  # fmt: skip
FACTS = CardFacts(
    "tiny", "mnli", 2, "FacebookAI/xlm-roberta-large", "c23d21b", "MIT", {"tasks": ["mnli"]},
    (TaskFacts("mnli", "Inference", "Williams et al. 2018", ("en",), "hub", "nyu-mll/glue", "abc", "CC BY-NC 4.0"),),
    (TaskFacts("pairs", "Pairs", "", ("en",), "local"),),
    tuple(TaskFacts(card.name, "", "", ("en",), "local", family=card.family) for card in CARDS.values()),
)  # fmt: skip
RESULT = TargetResult("pairs", "accuracy", "test", {"en": (70.0, 9), "de": (50.0, 9)}, 60.0, 4.0, 3.0, -1.0, 7.0, "r")
RESULTS = [RESULT]
LOG = {"stages": [{"name": "mnli", "planned_steps": 30, "best_step": 20, "settings": {"lr": 1e-5}}], "dtype": "float32"}


def rows_of(kind: str) -> list[dict[str, Any]]:
    """Rows of a family, with short and long, single and paired texts."""
    found = []
    for number, text in enumerate(TEXTS):
        other = TEXTS[number - 3]
        row: dict[str, Any] = {"id": f"en-test-{number}", "language": "en", "split": "test"}
        more: dict[str, Any] = {
            "sequence": {"text_a": text, "text_b": other if number % 2 else None, "label": number % 3},
            "tagging": {"tokens": text.split(), "tags": [place % 3 for place, _ in enumerate(text.split())]},
            "span": {"title": None, "context": text, "question": other, "answer_texts": [text[:3]],
                     "answer_starts": [0]},
            "choice": {"context": text, "choices": [other, TEXTS[number - 5], "yes"][: 2 + number % 2], "label": 0},
        }[kind]  # fmt: skip
        found.append({**row, **more})
    return found


def spread(head: torch.nn.Module, seed: int = 5) -> torch.nn.Module:
    """Random weights large enough for predictions to differ between rows, with most seeds."""
    torch.manual_seed(seed)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    return head


def centre(paths: EvaluationPaths, model: Model, card: TaskCard, backbone: Backbone, head: torch.nn.Module) -> None:
    """Shift the head's outputs so that none always wins: random tiny models give all rows nearly the same states."""
    predictor = load_predictor(paths, model, card, card)
    mean = scores(predictor, trial_batch(predictor, read_encoded(paths.encoded))).mean(0)
    head.projection.bias.data -= mean
    save_tuned(backbone, head, paths.checkpoint)


def exported(model: Path, card: TaskCard, pooling: str | None, out: Path) -> tuple[Path, pa.Table]:
    """The folder of a model with a random head, and our predictions, which differ between rows.

    Heads are drawn until they do: the same seed gives other numbers on another CPU.
    """
    settings, kind = Model("tiny", path="x", pooling=pooling), family(card.family)
    backbone = load_backbone(model / "backbone")
    asked = pooling or read_special_tokens(model / "tokenizer").pooling
    rows = pa.Table.from_pylist(rows_of(card.family), schema=kind.schema)
    pq.write_table(rows, out / "rows.parquet")
    encode_file(card, out / "rows.parquet", model / "tokenizer", out / "eval.arrow", 64, False, model / "backbone")
    paths = EvaluationPaths(out / "tuned", model / "tokenizer", out / "eval.arrow", out / "rows.parquet")
    scoring = ScoringSettings(settings, card, card, {"seed": 1}, precision="fp32")
    for seed in range(5, 25):
        head = spread(kind.build_head(card, kind.pooled_width(backbone.hidden_size, asked)), seed)
        save_tuned(backbone, head, out / "tuned")
        centre(paths, settings, card, backbone, head)
        score_target(paths, scoring, out / "metrics.json", out / "predictions.parquet")
        predictions = pq.read_table(out / "predictions.parquet")
        if len(set(map(str, predictions.column("prediction").to_pylist()))) > 1:
            break
    results = [RESULT] if card.name == "pairs" else []
    export_tuned(paths, ExportSettings(settings, card, card, 64), CardContent(FACTS, [LOG], results), out / "export")
    return out / "export", predictions


def code_of(folder: Path) -> str:
    [code] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(code)


def predicted(folder: Path, kind: str, rows: list[dict[str, Any]]) -> list[Any]:
    """Predictions by the code of the card, run in the folder; it may not import this project."""
    code = code_of(folder)
    assert "stiltgrid" not in code
    names: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(code, "README.md", "exec"), names)
        if kind == "sequence":
            return [names["classify"]([row["text_a"]], row["text_b"] and [row["text_b"]])[0] for row in rows]
        if kind == "tagging":
            return [names["tag"](row["tokens"]) for row in rows]
        if kind == "span":
            return [names["answer"](row["question"], row["context"]) for row in rows]
        return [names["choose"](row["context"], row["choices"]) for row in rows]
    finally:
        os.chdir(before)


# Architecture, family, pooling, and whether transformers has a class with the head.
CASES = [
    ("xlm-roberta", "sequence", None, True), ("xlm-roberta", "tagging", None, True),
    ("xlm-roberta", "span", None, True), ("xlm-roberta", "choice", None, True),
    ("xlm-roberta", "sequence", "mean", False), ("xlm-roberta", "sequence", "mean_all", False),
    ("xlm-roberta", "sequence", "compared", False), ("xlm-roberta", "choice", "compared", False),
    ("xlm-roberta", "span", "compared", False), ("xlm-roberta", "tagging", "compared", True),
    ("bert", "sequence", None, True), ("bert", "tagging", None, True), ("bert", "span", None, True),
    ("bert", "choice", None, True), ("bert", "sequence", "compared", False),
    ("deberta-v3", "sequence", None, True), ("deberta-v3", "tagging", None, True), ("deberta-v3", "span", None, True),
    ("deberta-v3", "choice", None, True),
    ("modernbert", "sequence", None, False), ("modernbert", "tagging", None, False),
    ("modernbert", "span", None, False),
    ("xlm-roberta-decoder", "sequence", None, False), ("xlm-roberta-decoder", "tagging", None, True),
    ("xlm-roberta-decoder", "span", None, True), ("xlm-roberta-decoder", "choice", None, False),
    ("gpt2", "sequence", None, False), ("gpt2", "tagging", None, True), ("gpt2", "span", None, True),
    ("llama", "choice", None, False), ("llama", "tagging", None, True), ("qwen3", "span", None, True),
    ("gemma3-text", "sequence", "mean", False),
    ("mt5", "sequence", None, False), ("mt5", "tagging", None, True), ("mt5", "span", None, False),
    ("t5-encoder", "tagging", None, True), ("t5-encoder", "choice", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "pooling", "whole"), CASES)
def test_the_code_of_the_card_gives_our_predictions(
    models: Callable[[str], Path], tmp_path: Path, name: str, kind: str, pooling: str | None, whole: bool
) -> None:
    folder, ours = exported(models(name), CARDS[kind], pooling, tmp_path)
    found = predicted(folder, kind, rows_of(kind))
    assert found == ours.column("prediction").to_pylist()
    assert kind == "tagging" or len(set(map(str, found))) > 1  # a constant would be equal whatever is read
    assert (folder / "head.safetensors").exists() != whole
    assert ("AutoModelFor" in code_of(folder).replace("AutoModelForTextEncoding", "")) == whole


def test_labels_are_named_in_the_configuration(models: Callable[[str], Path], tmp_path: Path) -> None:
    folder, _ = exported(models("xlm-roberta"), CARDS["sequence"], None, tmp_path)
    config = AutoConfig.from_pretrained(folder)
    assert config.id2label == {0: "yes", 1: "no", 2: "maybe"} and config.label2id["maybe"] == 2
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and model.dtype == torch.float32


def test_half_precision_backbones_stay_small_and_heads_exact(models: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model, card = models("bert"), CARDS["sequence"]
    folder, _ = exported(model, card, None, tmp_path)
    backbone = load_backbone(model / "backbone")
    head = spread(family("sequence").build_head(card, backbone.hidden_size))
    save_tuned(backbone, head, tmp_path / "tuned", torch.bfloat16)
    paths = EvaluationPaths(tmp_path / "tuned", model / "tokenizer", tmp_path / "eval.arrow", tmp_path / "rows.parquet")
    settings = ExportSettings(Model("tiny", path="x"), card, card, 64)
    export_tuned(paths, settings, CardContent(FACTS, [], []), tmp_path / "half")
    stored = load_file(tmp_path / "half/model.safetensors")
    assert stored["bert.embeddings.word_embeddings.weight"].dtype == torch.bfloat16
    assert torch.equal(stored["bert.pooler.dense.weight"], head.state_dict()["dense.weight"])
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "half").dtype == torch.float32
    assert folder.exists()


def test_the_card_holds_the_row_of_the_matrix_as_the_hub_reads_it(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, _ = exported(models("xlm-roberta"), CARDS["sequence"], None, tmp_path)
    data = ModelCard.load(folder / "README.md").data
    assert data.model_name == "tiny after mnli, tuned on pairs, seed 2" and data.base_model == FACTS.base
    found = {result.dataset_config: result for result in data.eval_results}
    assert {code: found[code].metric_value for code in found} == {"mean of 2 languages": 60.0, "en": 70.0, "de": 50.0}
    assert found["en"].metric_type == "accuracy" and found["en"].task_type == "text-classification"
    assert found["en"].dataset_split == "test" and data.language == ["de", "en"]
    assert (data.license, data.license_name) == ("other", "base-model-and-data")
    text = (folder / "README.md").read_text(encoding="utf-8")
    for said in (
        "| pairs | accuracy | test | 2 | 18 | 60.0 | +4.0 | +3.0 | -1.0 to +7.0 | r |", "| pairs | de | 9 | 50.0 |",
        "CC BY-NC 4.0", "| pairs | Pairs | en | local | not read |", "weights of step 20 kept", '"dtype": "float32"',
    ):  # fmt: skip
        assert said in text
    assert "ynthetic" not in text
