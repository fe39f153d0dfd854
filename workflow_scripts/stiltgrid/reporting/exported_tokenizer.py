"""The tokenizer of an exported model: a tokenizer.json that adds special tokens itself, and its settings."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.modeling.tokenization import SpecialTokens, SubwordTokenizer, read_special_tokens
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import write_json


def write_tokenizer(folder: Path, out: Path, max_length: int | None = None) -> None:
    """Write what `AutoTokenizer.from_pretrained` loads; it wraps texts and pairs as training did.

    `max_length` is the length in tokens at which `truncation=True` cuts. Raises SourceError for special tokens that
    the vocabulary lacks.
    """
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    special = read_special_tokens(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = {number: tokenizer.id_to_token(number) or "" for number in {special.pad, *special.around}}
    if not all(names.values()):
        raise SourceError(f"{folder}: special_tokens.json names ids that tokenizer.json does not have: {names}")
    one, two = _templates(special, names)
    if special.around:
        tokenizer.post_processor = TemplateProcessing(
            single=one, pair=two, special_tokens=[(name, number) for number, name in names.items()]
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(out / "tokenizer.json"))
    settings = _settings(special, names)
    if special.mask is not None:
        settings["mask_token"] = tokenizer.id_to_token(special.mask) or ""
    if max_length is not None:
        settings["model_max_length"] = max_length
    write_json(settings, out / "tokenizer_config.json")


def _settings(special: SpecialTokens, names: Mapping[int, str]) -> dict[str, Any]:
    """tokenizer_config.json: `</s>` in a text is four characters there too (`split_special_tokens`)."""
    types = ["token_type_ids"] if special.segments else []
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": names[special.pad],
        "padding_side": "right",
        "split_special_tokens": True,
        "model_input_names": ["input_ids", *types, "attention_mask"],
    }
    if special.prefix:
        settings |= {"bos_token": names[special.prefix[0]], "cls_token": names[special.prefix[0]]}
    if special.suffix:
        settings |= {"eos_token": names[special.suffix[-1]], "sep_token": names[special.suffix[-1]]}
    return settings


def _templates(special: SpecialTokens, names: Mapping[int, str]) -> tuple[list[str], list[str]]:
    def pieces(ids: Iterable[int], segment: int = 0) -> list[str]:
        return [f"{names[number]}:{segment}" for number in ids]

    before, between, after = pieces(special.prefix), pieces(special.middle), pieces(special.suffix)
    second = int(special.segments)
    return [*before, "$A:0", *after], [*before, "$A:0", *between, f"$B:{second}", *pieces(special.suffix, second)]


def needs_blanks(folder: Path) -> bool:
    """Whether the words of a split sentence must be given with the blank in front of them (byte-level tokenizers)."""
    from tokenizers import Tokenizer

    words = ["one", "two"]
    plain = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(
        words, is_pretokenized=True, add_special_tokens=False
    )
    [(ids, _)] = SubwordTokenizer(folder).word_ids([words])
    return list(plain.ids) != ids
