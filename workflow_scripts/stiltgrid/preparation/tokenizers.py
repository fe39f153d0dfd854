"""Trains a tokenizer on prepared raw text. Imports no torch."""

import logging
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from stiltgrid.data.raw_text import BATCH, read_texts
from stiltgrid.grid.architectures import CAUSAL
from stiltgrid.utils.files import atomic_path, write_json

LOG = logging.getLogger(__name__)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
SETTLING_ROUNDS = 4


def train_tokenizer(
    text_path: str | os.PathLike[str], settings: Mapping[str, Any], folder: str | os.PathLike[str]
) -> None:
    """Train on a text parquet and write `tokenizer.json` and `special_tokens.json` into `folder`.

    `settings`: algorithm (bpe, unigram), vocabulary (number of pieces, special ones included), pre_tokenizer:
    metaspace (words keep their leading blank, as in SentencePiece, so CJK text is not split) or scripts (split at
    blanks, changes of script and punctuation); `objective` is causal for a model that reads from left to right.
    Special tokens of texts and pairs are those of XLM-R.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # with threads, ties would be broken at random
    texts = [text for _, text in read_texts(text_path)]
    tokenizer = _trained(texts, str(settings["algorithm"]), int(settings["vocabulary"]), str(settings["pre_tokenizer"]))
    bos, eos = SPECIAL[0], SPECIAL[2]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, tokenizer.token_to_id(bos)), (eos, tokenizer.token_to_id(eos))],
    )
    start, pad, end, _, mask = (tokenizer.token_to_id(token) for token in SPECIAL)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        tokenizer.save(str(temporary / "tokenizer.json"))
        layout: dict[str, Any] = {"pad": pad, "mask": mask, "prefix": [start], "middle": [end, end], "suffix": [end]}
        if settings.get("objective") == CAUSAL:
            layout |= {"causal": True, "pooling": "last"}
        write_json(layout, temporary / "special_tokens.json")
    LOG.info("tokenizer of %d pieces written to %s", tokenizer.get_vocab_size(), Path(folder))


def _trained(texts: Sequence[str], algorithm: str, vocabulary: int, pre_tokenizer: str) -> Tokenizer:
    """The trained tokenizer, the same at every run (the library itself breaks ties by the order of hash maps)."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>") if algorithm == "bpe" else models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    if pre_tokenizer == "metaspace":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation("isolated")]
        )
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.UnicodeScripts(), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
        )
    common: dict[str, Any] = {"vocab_size": vocabulary, "special_tokens": list(SPECIAL), "show_progress": False}
    if algorithm == "bpe":
        alphabet = _alphabet(texts, max(256, vocabulary // 3))
        trainer = trainers.BpeTrainer(initial_alphabet=alphabet, limit_alphabet=len(alphabet), **common)
        tokenizer.train_from_iterator(texts, trainer)
    else:
        tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(unk_token="<unk>", **common))
        _settle_scores(tokenizer, texts)
    return tokenizer


def _alphabet(texts: Iterable[str], size: int) -> list[str]:
    """The most frequent characters, ties by code point; limited, or rare Han characters would fill the vocabulary."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(unicodedata.normalize("NFKC", text))
    kept = [character for character in counts if not character.isspace()]
    return ["\u2581", *sorted(kept, key=lambda character: (-counts[character], character))[: size - 1]]


def _settle_scores(tokenizer: Tokenizer, texts: Sequence[str]) -> None:
    """Give a unigram tokenizer's pieces new scores that depend only on the set of pieces and the text.

    The library sums in the order of a hash map, so its scores differ between runs. Here scores start equal (fewest
    pieces win) and are estimated from the best segmentation in several rounds (hard expectation maximisation).
    """
    pieces = sorted(set(tokenizer.get_vocab()) - set(SPECIAL))
    scores = dict.fromkeys(pieces, -10.0)
    for _ in range(SETTLING_ROUNDS):
        tokenizer.model = _unigram(scores)
        counts: Counter[str] = Counter()
        for start in range(0, len(texts), BATCH):
            for item in tokenizer.encode_batch(texts[start : start + BATCH], add_special_tokens=False):
                counts.update(item.tokens)
        total = sum(counts[piece] + 0.5 for piece in pieces)
        scores = {piece: math.log((counts[piece] + 0.5) / total) for piece in pieces}
    tokenizer.model = _unigram(scores)


def _unigram(scores: Mapping[str, float]) -> models.Unigram:
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return models.Unigram([*((token, 0.0) for token in SPECIAL), *ranked], unk_id=SPECIAL.index("<unk>"))
