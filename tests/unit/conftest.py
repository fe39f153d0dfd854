"""What unit tests share: a small real tokenizer, cards without files, batches and heads without a backbone."""

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from stiltgrid.data.rows import RawRow
from stiltgrid.grid.cards import TaskCard
from stiltgrid.modeling.batching import Batch, make_batch
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.base import Family
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

SENTENCES = (
    "The old lighthouse stands on a cliff above the harbour, and its lamp turns all night.",
    "Every spring the villagers paint the boats blue and white before the first market.",
    "A baker from the next valley sells rye bread, honey cakes and salted butter.",
    "Der alte Leuchtturm steht seit 1874 über dem Hafen, und die Boote sind blau.",
    "El faro antiguo está sobre el puerto y su lámpara gira toda la noche.",
    "老灯塔建于一八七四年，站在港口上方的悬崖上，灯整夜转动。",
    "村民每年春天把船漆成蓝色和白色，然后去市场卖面包。",
    "ประภาคารเก่าตั้งอยู่บนหน้าผาเหนือท่าเรือและหมุนตลอดคืน",
    "古い灯台は港の上の崖に立っています。",
    "المنارة القديمة تقف فوق الميناء طوال الليل.",
)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@pytest.fixture
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths start from the repository's root, where Snakemake runs."""
    monkeypatch.chdir(Path(__file__).parents[2])


def _pieces() -> list[tuple[str, float]]:
    """All letters, parts of words that occur twice, and words of up to ten letters; with their log shares.

    Not trained: the library's trainer draws other pieces in every process, so tests would see other data each time.
    """
    words = [f"▁{word}" for text in SENTENCES for word in unicodedata.normalize("NFKC", text).split()]
    parts = Counter(word[i : i + size] for word in words for size in range(1, 5) for i in range(len(word) - size + 1))
    found = {piece: count for piece, count in parts.items() if count > 1 or len(piece) == 1}
    found |= Counter(word for word in words if len(word) <= 11)
    total = sum(found.values())
    return [(piece, math.log(count / total)) for piece, count in sorted(found.items())]


@pytest.fixture(scope="session")
def tiny_tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a unigram tokenizer of a few hundred pieces in XLM-R's layout: <s> A </s> </s> B </s>."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(models.Unigram([*((piece, 0.0) for piece in SPECIAL), *_pieces()], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    layout = {"pad": 1, "mask": 4, "prefix": [0], "middle": [2, 2], "suffix": [2]}
    (folder / "special_tokens.json").write_text(json.dumps(layout), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer_folder: Path) -> Path:
    """A folder of the module's own, with a tiny random backbone for that tokenizer."""
    from tiny_models import write_backbone  # imports transformers, which most tests do without

    folder = tmp_path_factory.mktemp("place")
    write_backbone(folder / "backbone", tiny_tokenizer_folder)
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_tokenizer_folder: Path) -> SubwordTokenizer:
    """The tokenizer of `tiny_tokenizer_folder`."""
    return SubwordTokenizer(tiny_tokenizer_folder)


def make_card(kind: str, fields: Mapping[str, Any], **more: Any) -> TaskCard:
    """A card of a family, named 'sample', with the rest at plain values."""
    values = {"about": "", "citation": "", "languages": ("en",), "metric": "accuracy", "max_length": 64, **more}
    return TaskCard(name="sample", family=kind, fields=fields, **values)


def raw_rows(values: Sequence[Mapping[str, Any]]) -> list[RawRow]:
    """Source rows that stand in lines of 'sample.jsonl'."""
    return [RawRow(row, f"sample.jsonl line {number}") for number, row in enumerate(values, start=1)]


class Readout(torch.nn.Module):
    """A head that takes hidden states for scores, so that a test can write the scores down."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states


class Bench:
    """One family with its rows and encoding; runs `predict` in batches and decodes."""

    def __init__(
        self,
        card: TaskCard,
        values: Sequence[Mapping[str, Any]],
        tokenizer: SubwordTokenizer,
        language: str = "en",
        split: str = "dev",
        training: bool = False,
    ) -> None:
        self.card, self.tokenizer = card, tokenizer
        self.family: Family = family(card.family)
        examples = self.family.examples(card, raw_rows(values), language, split)
        self.rows = pa.Table.from_pylist(examples, schema=self.family.schema)
        columns = self.family.encode(card, self.rows, tokenizer, card.max_length, training)
        self.encoded = Encoded(to_table(columns))

    def batch(self, indices: Sequence[int] | None = None) -> Batch:
        return make_batch(self.encoded, range(len(self.encoded)) if indices is None else indices, self.tokenizer.pad)

    def decode(self, hidden: Callable[[Batch], torch.Tensor], head: torch.nn.Module | None = None) -> pa.Table:
        """Predictions from hidden states made for one batch of all sequences."""
        batch = self.batch()
        outputs = self.family.predict(self.card, head or Readout(), hidden(batch), batch)
        assert len(outputs) == len(self.encoded)
        return self.family.decode(self.card, outputs, self.encoded.scalars, self.rows, {})

    def measured(self, predictions: pa.Table) -> dict[str, float]:
        """Metric values of the (one) language and split."""
        return {item.metric: item.value for item in self.family.measure(self.card, predictions, self.rows)}

    def ids(self, sequence: int) -> np.ndarray:
        return self.encoded.tokens["input_ids"][slice(*self.encoded.offsets[sequence : sequence + 2])]


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """The helpers of this file, for tests (which are not a package, so cannot import it)."""
    return SimpleNamespace(card=make_card, rows=raw_rows, Bench=Bench, Readout=Readout)
