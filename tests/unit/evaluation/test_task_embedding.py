"""Task vectors of a two-layer random model against direct computations: no batching, no padding, plain autograd."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file
from stiltgrid.evaluation.prediction import EvaluationPaths
from stiltgrid.evaluation.task_embedding import EmbeddingSettings, FisherSettings, embed_fisher, embed_task
from stiltgrid.evaluation.task_vectors import cosine
from stiltgrid.grid.grid import Model
from stiltgrid.grid.params import as_params, from_params
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.training.job import TrainingJob, TrainingPaths
from stiltgrid.training.training import train_target
from stiltgrid.utils.errors import SourceError
from tiny_models import MODEL, sequence_card, with_settings, write_backbone, write_task
from transformers import AutoModel

SPECIAL = (0, 1, 2)  # <s>, padding, </s>
COMPARED = as_params(Model("tiny", path="models/tiny", pooling="compared"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer_folder: Path) -> Path:
    """A random backbone, a task, and a model tuned on it for a few steps."""
    folder = tmp_path_factory.mktemp("embedding")
    write_backbone(folder / "backbone", tiny_tokenizer_folder)
    task = write_task(folder / "toy", tiny_tokenizer_folder, sequence_card())
    for name, model in (("tuned", MODEL), ("compared", COMPARED)):
        paths = TrainingPaths(folder / "backbone", tiny_tokenizer_folder, folder / name)
        train_target(paths, TrainingJob(model, [with_settings(task, max_steps=3)], seed=1))
    return folder


def sequences(path: Path, examples: np.ndarray | None = None) -> list[list[int]]:
    encoded = read_encoded(path)
    cut = [
        encoded.tokens["input_ids"][a:b].tolist() for a, b in zip(encoded.offsets, encoded.offsets[1:], strict=False)
    ]
    return cut if examples is None else [cut[number] for number in examples]


def scaled(values: np.ndarray) -> np.ndarray:
    return values / np.abs(values).max()


def embedded(place: Path, tokenizer: Path, out: Path, measure: str, examples: int = 1000) -> np.ndarray:
    paths = EvaluationPaths(place / "backbone", tokenizer, place / "toy/eval.arrow", place / "toy/eval.parquet")
    model = Model("tiny", path="x", retrieval_layer=1)
    embed_task(paths, EmbeddingSettings(measure, model, examples, 200, precision="fp32"), out)
    (found,) = load_file(out).values()
    return found


def english(place: Path) -> list[list[int]]:
    languages = pq.read_table(place / "toy/eval.parquet").column("language").to_pylist()
    return [
        ids for ids, language in zip(sequences(place / "toy/eval.arrow"), languages, strict=True) if language == "en"
    ]


def test_text_is_the_mean_state_of_all_tokens(place: Path, tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(place / "backbone").eval()
    states = []
    with torch.no_grad():
        for ids in english(place):
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
            states += [state for state, token in zip(hidden, ids, strict=True) if token not in SPECIAL]
    expected = torch.stack(states).double().mean(dim=0).numpy()
    found = embedded(place, tiny_tokenizer_folder, tmp_path / "text.safetensors", "text")
    assert found == pytest.approx(scaled(expected), abs=1e-4)


def test_sentences_are_pooled_at_the_retrieval_layer(place: Path, tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(place / "backbone").eval()
    sentences = []
    with torch.no_grad():
        for ids in english(place):
            hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
            kept = [state for state, token in zip(hidden, ids, strict=True) if token not in SPECIAL]
            sentences.append(torch.stack(kept).mean(dim=0))
    expected = torch.stack(sentences).double().mean(dim=0).numpy()
    found = embedded(place, tiny_tokenizer_folder, tmp_path / "sentence.safetensors", "sentence")
    assert found == pytest.approx(scaled(expected), abs=1e-4)


def test_words_are_counted_in_english_rows_alone(place: Path, tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    found = embedded(place, tiny_tokenizer_folder, tmp_path / "words.safetensors", "words")
    tokens = [token for ids in english(place) for token in ids if token not in SPECIAL]
    assert found == pytest.approx(scaled(np.bincount(tokens, minlength=len(found)).astype(float)), abs=1e-6)
    few = embedded(place, tiny_tokenizer_folder, tmp_path / "few.safetensors", "words", examples=1)
    assert (few > 0).sum() < (found > 0).sum()


def test_development_rows_come_before_test_rows(place: Path, tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    """Of English rows those of the development split, where there are some; the other rows have none of their words."""
    table = pq.read_table(place / "toy/eval.parquet").to_pylist()
    for number, row in enumerate(table):
        row["split"] = "dev" if number % 2 else "test"
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(table), rows)
    paths = EvaluationPaths(place / "backbone", tiny_tokenizer_folder, place / "toy/eval.arrow", rows)
    embed_task(paths, EmbeddingSettings("words", Model("tiny", path="x"), 1000, 200), tmp_path / "words.safetensors")
    (found,) = load_file(tmp_path / "words.safetensors").values()
    kept = [row["language"] == "en" and row["split"] == "dev" for row in table]
    assert 0 < sum(kept) < sum(row["language"] == "en" for row in table)
    chosen = [ids for ids, wanted in zip(sequences(place / "toy/eval.arrow"), kept, strict=True) if wanted]
    tokens = [token for ids in chosen for token in ids if token not in SPECIAL]
    assert found == pytest.approx(scaled(np.bincount(tokens, minlength=len(found)).astype(float)), abs=1e-6)


def fisher(
    place: Path, tokenizer: Path, out: Path, folder: str, model: Mapping[str, Any] = MODEL, examples: int = 1000
) -> dict[str, np.ndarray]:
    settings = FisherSettings(
        from_params(Model, model), sequence_card(), examples, has_head=folder != "backbone", seed=1, precision="fp32"
    )
    embed_fisher(EvaluationPaths(place / folder, tokenizer, place / "toy/train.arrow"), settings, out)
    found: dict[str, np.ndarray] = load_file(out)
    return found


def test_fisher_is_the_mean_of_single_examples_squared_gradients(
    place: Path, tiny_tokenizer_folder: Path, tmp_path: Path
) -> None:
    """By autograd on Hugging Face's own model, one unpadded example at a time; the head spelled out."""
    backbone, head = load_tuned(place / "tuned")
    model = backbone.model.eval()
    encoded = read_encoded(place / "toy/train.arrow")
    names = [name for name, _ in model.named_parameters() if "_embeddings" not in name]
    parameters = [dict(model.named_parameters())[name] for name in names]
    sums = {name: 0.0 for name in names}
    layers: list[Any] = [0.0, 0.0, 0.0]
    ids_of = sequences(place / "toy/train.arrow")
    for ids, label in zip(ids_of, encoded.scalars["label"].tolist(), strict=True):
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        kept = torch.tensor([token not in SPECIAL for token in ids])
        pooled = states[-1][0][kept].mean(dim=0)
        dense = torch.tanh(head["dense.weight"] @ pooled + head["dense.bias"])
        scores = head["projection.weight"] @ dense + head["projection.bias"]
        loss = torch.logsumexp(scores, dim=0) - scores[label]
        gradients = torch.autograd.grad(loss, [*parameters, *states], allow_unused=True)
        for name, gradient in zip(names, gradients, strict=False):
            sums[name] += 0 if gradient is None else gradient.double().square().numpy()  # type: ignore[assignment]
        for number, gradient in enumerate(gradients[len(names) :]):
            layers[number] += gradient[0].sum(dim=0).double().square().numpy()
    found = fisher(place, tiny_tokenizer_folder, tmp_path / "fisher.safetensors", "tuned")
    modules: dict[str, list[np.ndarray]] = {}
    for name in names:
        modules.setdefault(name.rpartition(".")[0], []).append(np.asarray(sums[name]).reshape(-1))
    expected = {name: np.concatenate(parts) for name, parts in modules.items()}
    expected |= {f"states{number:02d}": values for number, values in enumerate(layers)}
    assert found.keys() == {name for name, values in expected.items() if values.any()}
    assert sum(name.startswith("states") for name in found) == 3 and len(found) > 10
    for name, values in found.items():
        assert values == pytest.approx(scaled(expected[name]), abs=2e-3), name
        assert cosine(values, expected[name]) > 0.99999, name


def test_fisher_of_a_model_that_compares_two_texts(place: Path, tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    """Its head is wider than the hidden states."""
    compared = fisher(place, tiny_tokenizer_folder, tmp_path / "a.safetensors", "compared", COMPARED)
    mean = fisher(place, tiny_tokenizer_folder, tmp_path / "b.safetensors", "tuned")
    assert compared.keys() == mean.keys()
    assert any(not np.allclose(compared[name], mean[name], atol=1e-3) for name in mean)


def test_a_row_gets_a_new_head_and_the_same_vector_each_time(
    place: Path, tiny_tokenizer_folder: Path, tmp_path: Path
) -> None:
    first = fisher(place, tiny_tokenizer_folder, tmp_path / "a.safetensors", "backbone", examples=20)
    again = fisher(place, tiny_tokenizer_folder, tmp_path / "b.safetensors", "backbone", examples=20)
    assert first and first.keys() == again.keys()
    assert all(np.array_equal(values, again[name]) for name, values in first.items())


def test_a_task_without_chosenis_named(place: Path, tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    card = replace(sequence_card(), name="empty")
    write_task(tmp_path / "empty", tiny_tokenizer_folder, card, train=0)
    with pytest.raises(SourceError, match="no training sequences for task 'toy'"):
        embed_fisher(
            EvaluationPaths(place / "backbone", tiny_tokenizer_folder, tmp_path / "empty/train.arrow"),
            FisherSettings(from_params(Model, MODEL), sequence_card(), 10, has_head=False, seed=1, precision="fp32"),
            tmp_path / "none.safetensors",
        )
