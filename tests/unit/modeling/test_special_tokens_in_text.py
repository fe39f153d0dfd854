"""User text is text: the names of special tokens, spelled in data, are plain characters for every type of tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from stiltgrid.modeling.tokenization import SubwordTokenizer
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = ["a harbour & its lamp <turns> all [night]", "das Boot </ist blau mask unk pad SEP s>", "灯整夜转动"] * 3
ROUND = ["<s>", "<pad>", "</s>", "<mask>", "<unk>"]
SQUARE = ["[CLS]", "[PAD]", "[SEP]", "[MASK]", "[UNK]"]


def trained(model: models.Model, trainer: trainers.Trainer, pre: pre_tokenizers.PreTokenizer) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def bpe() -> Tokenizer:
    trainer = trainers.BpeTrainer(vocab_size=160, special_tokens=ROUND, show_progress=False)
    return trained(models.BPE(unk_token="<unk>"), trainer, pre_tokenizers.Metaspace())


def byte_bpe_that_looks_words_up() -> Tokenizer:
    """Llama 3's kind: a word that stands in the vocabulary is not merged from its bytes."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=ROUND, initial_alphabet=alphabet, show_progress=False)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(r"\s+"), "isolated")
    tokenizer = trained(models.BPE(), trainer, pre_tokenizers.Sequence([split, byte_level]))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    settings = json.loads(tokenizer.to_str())
    settings["model"]["ignore_merges"] = True
    return Tokenizer.from_str(json.dumps(settings))


def word_piece() -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=SQUARE, show_progress=False)
    return trained(models.WordPiece(unk_token="[UNK]"), trainer, pre_tokenizers.BertPreTokenizer())


def word_piece_between_blanks() -> Tokenizer:
    """[SEP] is one word, which is in the vocabulary."""
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=SQUARE, show_progress=False)
    return trained(models.WordPiece(unk_token="[UNK]"), trainer, pre_tokenizers.WhitespaceSplit())


def unigram() -> Tokenizer:
    """XLM-R's kind: special tokens are pieces of the vocabulary, of the best score of all."""
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=ROUND, unk_token="<unk>", show_progress=False)
    tokenizer = trained(models.Unigram(), trainer, pre_tokenizers.Metaspace())
    tokenizer.normalizer = normalizers.NFKC()
    return tokenizer


def unigram_with_unmarked_tokens() -> Tokenizer:
    """A file that does not mark its special tokens as special; <mask> is beyond the model's vocabulary."""
    tokenizer = unigram()
    settings = json.loads(tokenizer.to_str())
    settings["added_tokens"] = [{**token, "special": False} for token in settings["added_tokens"]]
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.add_tokens([AddedToken("<extra>", normalized=False)])
    return tokenizer


MADE = (
    bpe, byte_bpe_that_looks_words_up, word_piece, word_piece_between_blanks, unigram, unigram_with_unmarked_tokens,
)  # fmt: skip


@pytest.fixture(params=MADE, ids=lambda make: make.__name__)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[SubwordTokenizer, Tokenizer, list[str]]:
    make: Callable[[], Tokenizer] = request.param
    tokenizer = make()
    names = SQUARE if tokenizer.token_to_id("[SEP]") is not None else ROUND
    first, pad, end, mask, _ = (tokenizer.token_to_id(name) for name in names)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    layout = {"pad": pad, "mask": mask, "prefix": [first], "middle": [end], "suffix": [end]}
    (tmp_path / "special_tokens.json").write_text(json.dumps(layout))
    return SubwordTokenizer(tmp_path), tokenizer, names


def spelled(names: list[str]) -> list[str]:
    texts = [name for name in names] + [f"lamp{name}boat" for name in names] + [f"a {name} b" for name in names]
    return [*texts, "".join(names), "＜s＞ ＜／s＞", names[0].lower(), " ".join(names * 3)]


def test_no_text_yields_a_special_token(made):
    ours, plain, names = made
    special = {plain.token_to_id(name) for name in names[:4]}
    texts = spelled(names)
    for found in (ours.ids(texts), [item.ids for item in ours.pieces(texts)]):
        assert all(ids and special.isdisjoint(ids) for ids in found)


def test_no_word_yields_a_special_token(made):
    ours, plain, names = made
    special = {plain.token_to_id(name) for name in names[:4]}
    words = [*names, "lamp", f"{names[2]}s", names[1]]
    ((ids, owners),) = ours.word_ids([words])
    assert special.isdisjoint(ids) and sorted(set(owners)) == list(range(len(words)))


def test_a_name_is_read_by_its_characters(made):
    """As the same characters are read apart, where nothing could take them for a special token."""
    ours, plain, names = made
    unknown = plain.token_to_id(names[4])
    for name in names:
        pieces = ours.pieces([f"lamp {name} boat"])[0]
        assert pieces.starts[0] == 0 and pieces.ends[-1] == len(f"lamp {name} boat")
        assert pieces.ids.count(unknown) <= 1, "characters that the vocabulary has are not unknown"


def test_text_without_such_names_has_the_ids_that_it_always_had(made):
    ours, plain, names = made
    plain.no_padding()
    texts = [*TEXTS, "lamp < s > mask", "zebra ☃ unknown letters", ""]
    assert ours.ids(texts) == [item.ids for item in plain.encode_batch(texts, add_special_tokens=False)]
    beside = ours.ids([*texts, *spelled(names)])
    assert beside[: len(texts)] == ours.ids(texts), "one text does not change how another is read"


def test_ids_of_ordinary_added_tokens_stay(tmp_path):
    tokenizer = unigram_with_unmarked_tokens()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    layout = {"pad": 1, "mask": 3, "prefix": [0], "middle": [2, 2], "suffix": [2]}
    (tmp_path / "special_tokens.json").write_text(json.dumps(layout))
    ours = SubwordTokenizer(tmp_path)
    extra = tokenizer.token_to_id("<extra>")
    assert extra in ours.ids(["a <extra> </s>"])[0] and extra in ours.ids(["a <extra>"])[0]
    assert ours.vocabulary_size == tokenizer.get_vocab_size()
