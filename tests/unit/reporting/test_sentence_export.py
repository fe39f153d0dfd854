"""Exported text vectors are, in sentence-transformers, the vectors that the retrieval targets were scored by."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sentence_transformers import SentenceTransformer
from stiltgrid.evaluation.prediction import EvaluationPaths, Predictor, Reader, TokenCount, predict_all
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.checkpoints import save_tuned
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.modeling.heads import DualHead
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.preparation.encode import encode_file
from stiltgrid.reporting.exported_card import CardFacts
from stiltgrid.reporting.tuned_export import CardContent, ExportSettings, export_sentences, export_tuned
from stiltgrid.tasks.families import family

TEXTS = ["one", "two lamps", "a boat on the market", "bread and honey for the old lighthouse", "blue night", "灯"]
CONTENT = CardContent(CardFacts("tiny", "none", 1, None, None, None, {}, ()), [], [])


def card_of(kind: str) -> TaskCard:
    return TaskCard("texts", kind, "", "", ("en",), "accuracy", 64)


def encoded(model: Path, kind: str, out: Path) -> EvaluationPaths:
    """Encoded texts of a retrieval task; every second candidate of a dual encoder has a context."""
    rows = [
        {"id": str(number), "language": "en", "split": "test", "role": "candidate", "text": text, "gold": [],
         "text_pair": TEXTS[number - 2] if kind == "dual" and number % 2 else None, "group": str(number)}
        for number, text in enumerate(TEXTS)
    ]  # fmt: skip
    schema = family(kind).schema
    table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
    pq.write_table(table, out / "rows.parquet")
    encode_file(
        card_of(kind), out / "rows.parquet", model / "tokenizer", out / "eval.arrow", 64, False, model / "backbone"
    )
    return EvaluationPaths(model / "backbone", model / "tokenizer", out / "eval.arrow", out / "rows.parquet")


def ours(paths: EvaluationPaths, settings: Model, kind: str, layer: int) -> np.ndarray:
    """This project's vectors, of unit length."""
    backbone = load_backbone(paths.checkpoint)
    reader = Reader(read_special_tokens(paths.tokenizer), settings)
    compute = Compute(torch.device("cpu"), torch.float32)
    predictor = Predictor(backbone, None, family(kind), card_of(kind), reader, compute)
    found = predict_all(predictor, read_encoded(paths.encoded), 512, TokenCount(), [layer])
    vectors = np.stack([np.asarray(item).reshape(-1) for item in found])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


# The model's architecture, its layer (of 2) and its pooling; whether the layers above are left out.
CASES = [
    ("xlm-roberta", 1, "mean", True), ("xlm-roberta", 2, "mean", False), ("xlm-roberta", 0, "mean", True),
    ("xlm-roberta", 1, "cls", True), ("xlm-roberta", 1, "mean_all", True), ("bert", 1, "mean", True),
    ("deberta-v3", 1, "mean", True), ("modernbert", 1, "mean", False), ("gpt2", 1, "last", False),
    ("llama", 2, "last", False), ("mt5", 1, "mean", False), ("umt5", 2, "mean", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "layer", "pooling", "shorter"), CASES)
def test_vectors_are_those_of_the_layer(
    models: Callable[[str], Path], tmp_path: Path, name: str, layer: int, pooling: str, shorter: bool
) -> None:
    settings = Model("tiny", path="x", retrieval_pooling=pooling, retrieval_layer=layer)
    paths = encoded(models(name), "embedding", tmp_path)
    export_sentences(paths, ExportSettings(settings, card_of("embedding"), None, 64), CONTENT, tmp_path / "out")
    model = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    found = model.encode(TEXTS)
    np.testing.assert_allclose(found, ours(paths, settings, "embedding", layer), atol=2e-6)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5) and model.max_seq_length == 64
    assert (model[0].model.config.num_hidden_layers < 2) == shorter
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert f"layer {layer} of 2" in card


def test_the_code_of_the_card_runs_as_it_stands(
    models: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Model("tiny", path="x", retrieval_pooling="mean", retrieval_layer=2)
    paths = encoded(models("xlm-roberta"), "embedding", tmp_path)
    export_sentences(paths, ExportSettings(settings, card_of("embedding"), None, 64), CONTENT, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["vectors"].shape[0] == 2 and np.allclose(np.linalg.norm(names["vectors"], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_dual_encoder_gives_its_vectors_also_of_pairs(
    models: Callable[[str], Path], tmp_path: Path, pooling: str
) -> None:
    model = models("xlm-roberta")
    paths = encoded(model, "dual", tmp_path)
    settings, card = Model("tiny", path="x", pooling=pooling), card_of("dual")
    expected = ours(paths, settings, "dual", 2)
    save_tuned(load_backbone(model / "backbone"), DualHead(), tmp_path / "tuned")
    tuned = EvaluationPaths(tmp_path / "tuned", paths.tokenizer, paths.encoded, paths.rows)
    export_tuned(tuned, ExportSettings(settings, card, card, 64), CONTENT, tmp_path / "out")
    loaded = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    for number, text in enumerate(TEXTS):
        found = loaded.encode([(text, TEXTS[number - 2])] if number % 2 else [text])
        np.testing.assert_allclose(found[0], expected[number], atol=2e-6)
