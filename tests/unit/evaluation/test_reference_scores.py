"""The reference of benchmarks/reference_scores.py: labels, windows and decoding by transformers alone."""

import importlib
import itertools
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WORDS = [f"w{number}" for number in range(60)]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return importlib.import_module("reference_scores")


@pytest.fixture(scope="module")
def run(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer of whole words, with <s> and </s> around a text or a pair."""
    vocabulary = {piece: number for number, piece in enumerate(["<pad>", "<s>", "</s>", "<unk>", *WORDS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", unk_token="<unk>")
    return script.Run(None, "tiny", Path(), tmp_path_factory.mktemp("results"), tokenizer)


def card(**facts: Any) -> Any:
    """What the reference reads of a card."""
    return SimpleNamespace(**({"max_length": 16, "labels": ("O", "B-X", "I-X"), "options": {}} | facts))


def saying(logits: list[Any]) -> Any:
    """A model that answers batch after batch with what is given."""
    answers = iter(logits)

    class Model(torch.nn.Module):
        def forward(self, **batch: torch.Tensor) -> Any:
            return SimpleNamespace(**next(answers))

    return Model()


def test_the_best_span_is_that_of_all_pairs(script: ModuleType) -> None:
    generator = torch.Generator().manual_seed(1)
    for longest in (1, 3, 12):
        starts, ends = torch.randn(2, 14, generator=generator)
        inside = list(range(4, 13))
        pairs = [(a, b) for a, b in itertools.product(inside, inside) if 0 <= b - a < longest]
        best = max(pairs, key=lambda pair: float(starts[pair[0]] + ends[pair[1]]))
        value, first, last = script.best_span(starts, ends, inside, longest)
        assert (first, last) == best
        assert value == pytest.approx(float(starts[best[0]] + ends[best[1]]))


def test_labels_of_a_window_mark_the_answer_in_the_text(script: ModuleType, run: Any) -> None:
    context = " ".join(WORDS[:40])
    rows = [
        {
            "question": "w50 w51",
            "context": context,
            "answer_texts": ["w21 w22"],
            "answer_starts": [context.index("w21")],
        }
    ]
    span = script.Span(run, card(max_length=64 + 24, options={"doc_stride": 12}))
    features = span.training_features(rows)
    marked = [item for item in features if item["end_positions"]]
    assert len(features) >= 1 and marked
    for item in marked:
        ids = item["input_ids"][item["start_positions"] : item["end_positions"] + 1]
        assert run.tokenizer.decode(ids) == "w21 w22"
    assert all(item["start_positions"] == 0 for item in features if item not in marked)


def test_an_answer_is_cut_from_the_text_of_the_best_window(script: ModuleType, run: Any) -> None:
    rows = [{"question": "w50", "context": "w1  w2 w3", "answer_texts": ["w2 w3"], "answer_starts": [4]}]
    span = script.Span(run, card(max_length=80, options={"doc_stride": 8, "max_answer_length": 4}))
    length = len(span._windows(rows)["input_ids"][0])  # <s> w50 </s> w1 w2 w3 </s>
    starts, ends = torch.zeros(1, length), torch.zeros(1, length)
    starts[0, 4] = ends[0, 5] = 5.0
    ends[0, 1] = 50.0  # outside the context
    assert span.score(saying([{"start_logits": starts, "end_logits": ends}]), rows) == 100.0
    starts[0, 4], starts[0, 5] = 0.0, 5.0  # "w3" alone: precision 1, recall 1/2
    assert span.score(saying([{"start_logits": starts, "end_logits": ends}]), rows) == pytest.approx(100 * 2 / 3)


def test_words_that_truncation_cuts_off_count_as_the_first_label(script: ModuleType, run: Any) -> None:
    rows = [{"tokens": ["w1", "w2", "w3", "w4"], "tags": [0, 1, 2, 1]}]
    tags = script.Tags(run, card(max_length=5))
    assert tags.training_features(rows)[0]["labels"] == [-100, 0, 1, 2, -100]
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 2, 0]]), 3).float()
    # One of two chunks is found, and nothing else: precision 1, recall 1/2.
    assert tags.score(saying([{"logits": logits}]), rows) == pytest.approx(100 * 2 / 3)


def test_options_are_scored_side_by_side(script: ModuleType, run: Any) -> None:
    rows = [
        {"context": "w1", "choices": ["w2", "w3 w4"], "label": 1},
        {"context": "w1 w5", "choices": ["w2", "w3"], "label": 0},
    ]
    choice = script.Choice(run, card())
    batch = choice.collate(choice.training_features(rows))
    assert batch["input_ids"].shape == (2, 2, 6)
    assert int(batch["attention_mask"][0, 0].sum()) == 5
    assert batch["labels"].tolist() == [1, 0]
    assert choice.score(saying([{"logits": torch.tensor([[0.0, 1.0], [0.0, 1.0]])}]), rows) == 50.0


def test_the_nearest_sentence_is_found_by_cosine(script: ModuleType, run: Any) -> None:
    folder = run.results / "data" / "bitext"
    folder.mkdir(parents=True)
    rows = [
        {"language": "de", "split": "dev", "role": role, "id": name, "text": text, "gold": gold}
        for role, name, text, gold in [
            ("query", "q0", "1 0", ["c0"]), ("query", "q1", "0 1", ["c0"]),
            ("candidate", "c0", "9 1", None), ("candidate", "c1", "1 2", None),
        ]
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "eval.parquet")
    grid = SimpleNamespace(cards={"bitext": SimpleNamespace(name="bitext", headline_split=None)})
    here = script.Run(grid, "tiny", Path(), run.results, None)
    vectors = lambda texts: np.array([[float(part) for part in text.split()] for text in texts])  # noqa: E731
    assert script.retrieval_scores(here, "bitext", vectors) == {"de": 50.0}


def test_the_interval_is_welchs(script: ModuleType) -> None:
    # Equal sizes and variances: four degrees of freedom, whose 97.5 % quantile is 2.776 in any table of Student's t.
    difference, low, high = script.interval([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert difference == -3.0
    assert (high - low) / 2 == pytest.approx(2.776 * np.sqrt(1 / 3 + 1 / 3), rel=1e-3)
    assert script.interval([1.0], [2.0]) == (-1.0, -np.inf, np.inf)
