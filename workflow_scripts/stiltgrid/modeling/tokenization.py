"""Token ids without importing transformers: a `tokenizers` file and the layout of its special tokens.

A model folder's tokenizer, fetched or trained here, is a `tokenizer.json` beside a `special_tokens.json`:
{"pad": id, "mask": id or null, "prefix": [ids], "middle": [ids], "suffix": [ids]}, the ids around one segment
(prefix A suffix) or two (prefix A middle B suffix). Three optional keys describe models that differ from XLM-R:
"segments" (trained with token types), "causal" (a causal model) and "pooling" (the default pooling).

User text never yields a special token: `</s>` in a text is four characters, not the end of a segment.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from tokenizers import Encoding, Tokenizer

from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import read_json


@dataclass(frozen=True)
class Pieces:
    """Token ids of one text without special tokens, and their character spans [start, end) in it."""

    ids: list[int]
    starts: list[int]
    ends: list[int]


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of padding and mask, ids around and between segments, and how the model reads them."""

    pad: int
    mask: int | None
    prefix: list[int]
    middle: list[int]
    suffix: list[int]
    segments: bool = False
    causal: bool = False
    pooling: str = "cls"

    @property
    def separator(self) -> int | None:
        """The id that ends the first segment; None for models without token types."""
        return self.middle[0] if self.segments and self.middle else None

    @property
    def around(self) -> tuple[int, ...]:
        """Ids that mean pooling leaves out."""
        return tuple(sorted({*self.prefix, *self.middle, *self.suffix}))


def read_special_tokens(folder: str | os.PathLike[str]) -> SpecialTokens:
    """Read a model's special tokens without its (large) vocabulary; raises SourceError for a damaged file."""
    path = Path(folder) / "special_tokens.json"
    try:
        layout = read_json(path)
        more = {key: layout[key] for key in ("segments", "causal", "pooling") if key in layout}
        return SpecialTokens(*(layout[key] for key in ("pad", "mask", "prefix", "middle", "suffix")), **more)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{path}: not a layout of special tokens ({error})") from error


class SubwordTokenizer:
    """Encodes texts, words and pairs for one model. It never truncates unless `max_length` is given."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder)
        try:
            self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        except Exception as error:  # tokenizers raises a bare Exception for unreadable files
            raise SourceError(f"{path}: no readable tokenizer ({error})") from error
        self._file = path / "tokenizer.json"
        _set_defaults(self._tokenizer)
        self.special = read_special_tokens(path)
        self.pad: int = self.special.pad
        self.mask: int | None = self.special.mask
        self.prefix: list[int] = self.special.prefix
        self.middle: list[int] = self.special.middle
        self.suffix: list[int] = self.special.suffix
        self.causal: bool = self.special.causal
        self._special_names = self._names_of_special_tokens()
        self._blanks = self._needs_blanks()

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, added ones included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def unknown(self) -> int:
        """Id for a word that yields no token: the unknown token, or padding where there is none."""
        names = ("<unk>", "[UNK]", "<|endoftext|>", "<|unk|>")
        ids = (self._tokenizer.token_to_id(name) for name in names)
        return next((number for number in ids if number is not None), self.pad)

    def special_count(self, segments: int) -> int:
        """Number of special tokens around one or two segments."""
        return len(self.prefix) + len(self.suffix) + (len(self.middle) if segments == 2 else 0)

    def pieces(self, texts: list[str]) -> list[Pieces]:
        """Tokenise texts, without special tokens, with character spans."""
        return [
            Pieces(item.ids, [start for start, _ in item.offsets], [end for _, end in item.offsets])
            for item in self._encode(texts)
        ]

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Tokenise texts, ids only, without special tokens."""
        return [item.ids for item in self._encode(texts, fast=True)]

    def word_ids(self, sentences: list[list[str]]) -> list[tuple[list[int], list[int]]]:
        """Tokenise pre-split sentences: (ids, index of each id's word). A word may yield no id.

        Words get the tokens that they have in running text, with blanks between them.
        """
        if self._blanks:
            sentences = [[*words[:1], *(f" {word}" for word in words[1:])] for words in sentences]
        # Without special tokens every id belongs to a word: none is None.
        return [(item.ids, cast(list[int], item.word_ids)) for item in self._encode(sentences, words=True)]

    def _encode(self, inputs: Sequence[Any], words: bool = False, fast: bool = False) -> list[Encoding]:
        """Encode without special tokens, neither added nor read from the text; `fast` leaves out offsets."""

        def encode(tokenizer: Tokenizer, some: Sequence[Any]) -> list[Encoding]:
            batch = tokenizer.encode_batch_fast if fast else tokenizer.encode_batch
            return list(batch(list(some), is_pretokenized=words, add_special_tokens=False))

        found = encode(self._tokenizer, inputs)
        # `encode_special_tokens` does not reach the vocabulary: a unigram model, for example, still reads `<s>` as one.
        spelled = [place for place, item in enumerate(found) if not self._special_names.keys().isdisjoint(item.ids)]
        if spelled:
            for place, item in zip(spelled, encode(self._plain, [inputs[place] for place in spelled]), strict=True):
                found[place] = item
        return found

    def _names_of_special_tokens(self) -> dict[int, str]:
        """Id -> name of all special tokens: those that the file marks, those of the layout, and the unknown token."""
        marked = {number for number, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        layout = {self.special.pad, *self.special.around, self.unknown} | {self.mask} - {None}
        names = ((number, self._tokenizer.id_to_token(number)) for number in sorted(marked | cast(set[int], layout)))
        return {number: name for number, name in names if name is not None}

    @cached_property
    def _plain(self) -> Tokenizer:
        """The tokenizer with special tokens renamed to what no text contains: same ids for all other text."""
        settings = json.loads(self._file.read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_str(json.dumps(_rename_tokens(settings, {*self._special_names.values()})))
        _set_defaults(tokenizer)
        return tokenizer

    def _needs_blanks(self) -> bool:
        """Whether words must be given with their leading blank, as byte-level tokenizers (GPT-2, Llama 3) expect."""
        words = ["one", "two"]

        def alone(parts: list[str]) -> list[int]:
            return list(self._tokenizer.encode(parts, is_pretokenized=True, add_special_tokens=False).ids)

        running = list(self._tokenizer.encode(" ".join(words), add_special_tokens=False).ids)
        return alone(words) != running and alone([words[0], f" {words[1]}"]) == running

    def join(self, first: list[int], second: list[int] | None = None) -> list[int]:
        """One sequence with special tokens: prefix A suffix, or prefix A middle B suffix."""
        if second is None:
            return [*self.prefix, *first, *self.suffix]
        return [*self.prefix, *first, *self.middle, *second, *self.suffix]

    def join_truncated(self, first: list[int], second: list[int] | None, max_length: int) -> list[int]:
        """Like `join`, truncated to `max_length` tokens: the end of the longer segment is cut first."""
        room = max_length - self.special_count(1 if second is None else 2)
        if second is None:
            return self.join(first[:room])
        excess = max(0, len(first) + len(second) - room)
        cut_first = min(excess, max(0, len(first) - len(second)))
        cut_second = min(excess - cut_first, max(0, len(second) - len(first)))
        both = excess - cut_first - cut_second
        keep_first = len(first) - cut_first - both // 2
        keep_second = len(second) - cut_second - (both - both // 2)
        return self.join(first[:keep_first], second[:keep_second])


def _set_defaults(tokenizer: Tokenizer) -> None:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True


# Put before a special token's name, it makes a name that is longer than the words that WordPiece looks up.
UNMATCHABLE = "\uffff" * 128


def _rename_tokens(settings: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """The content of a `tokenizer.json` with some tokens renamed, at their ids."""

    def renamed(name: str) -> str:
        return UNMATCHABLE + name if name in names else name

    model = dict(settings["model"])
    vocabulary = model.get("vocab") or {}
    if isinstance(vocabulary, Mapping):
        model["vocab"] = {renamed(name): number for name, number in vocabulary.items()}
    else:  # of a unigram model
        model["vocab"] = [[renamed(name), score] for name, score in vocabulary]
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = renamed(model["unk_token"])
    if "merges" in model:
        pairs = (pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"])
        model["merges"] = [pair for pair in pairs if "".join(pair) not in names]
    added = [{**token, "content": renamed(token["content"])} for token in settings.get("added_tokens") or ()]
    return {**settings, "model": model, "added_tokens": added}
