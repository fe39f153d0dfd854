"""Hugging Face folders of every kind of backbone: two layers, random weights, a small tokenizer of the right sort."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, PreTrainedTokenizerFast, T5EncoderModel

TEXTS = (
    "The old lighthouse stands on a cliff above the harbour, and its lamp turns all night.",
    "Every spring the villagers paint the boats blue and white before the first market.",
    "A baker from the next valley sells rye-bread, honey cakes and salted butter (since 1874).",
    "Yes or no? What was the cause of it, and when did that happen?",
    "Two bakers didn't sell 1874 😀.",
    "Der alte Leuchtturm steht seit 1874 über dem Hafen, und die Boote sind blau.",
    "老灯塔建于一八七四年，站在港口上方的悬崖上，灯整夜转动。",
    "ประภาคารเก่าตั้งอยู่บนหน้าผาเหนือท่าเรือและหมุนตลอดคืน",
    "المنارة القديمة تقف فوق الميناء طوال الليل.",
)
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
GROUPED = {**SHAPE, "num_key_value_heads": 1, "head_dim": 8}
PAIR = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
ROUND = {**SHAPE, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DISENTANGLED = {
    **ROUND, "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0,
    "position_biased_input": False, "share_att_key": True, "norm_rel_ebd": "layer_norm",
}  # fmt: skip
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
          "image_size": 28, "patch_size": 14}  # fmt: skip
Made = tuple[Tokenizer, dict[str, Any]]


def _trained(model: Any, trainer: type, special: list[str], **more: Any) -> Tokenizer:
    """A tokenizer of a few hundred pieces; `more` are its parts."""
    tokenizer = Tokenizer(model)
    for name, part in more.items():
        setattr(tokenizer, name, part)
    alphabet = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()} if trainer is trainers.BpeTrainer else {}
    unknown = {"unk_token": special[-1]} if trainer is trainers.UnigramTrainer else alphabet
    tokenizer.train_from_iterator(
        TEXTS, trainer(vocab_size=420, special_tokens=special, show_progress=False, **unknown)
    )
    return tokenizer


def _wrapped(tokenizer: Tokenizer, single: str, pair: str) -> None:
    names = {word.partition(":")[0] for word in f"{single} {pair}".split() if word[0] != "$"}
    numbers = [(name, tokenizer.token_to_id(name)) for name in sorted(names)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=numbers)


def word_pieces() -> Made:
    """BERT's: pieces of words, [CLS] A [SEP] B [SEP], two token types."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
    tokenizer = _trained(
        models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer, special,
        normalizer=normalizers.BertNormalizer(lowercase=False), pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
    )  # fmt: skip
    _wrapped(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return tokenizer, {**names, "unk_token": "[UNK]", "model_input_names": ["input_ids", "token_type_ids"]}


def _unigram(special: list[str]) -> Tokenizer:
    return _trained(
        models.Unigram(), trainers.UnigramTrainer, special,
        normalizer=normalizers.NFKC(), pre_tokenizer=pre_tokenizers.Metaspace(), decoder=decoders.Metaspace(),
    )  # fmt: skip


def unigram_xlmr() -> Made:
    """XLM-R's: <s> A </s> </s> B </s>."""
    tokenizer = _unigram(["<s>", "<pad>", "</s>", "<mask>", "<unk>"])
    _wrapped(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    names = {"pad_token": "<pad>", "mask_token": "<mask>", "unk_token": "<unk>"}
    return tokenizer, {**names, "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}


def unigram_deberta() -> Made:
    """DeBERTa's: [CLS] A [SEP] B [SEP]; it tells token types, which a v3 model has no table for."""
    tokenizer = _unigram(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"])
    _wrapped(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return tokenizer, {**names, "unk_token": "[UNK]", "model_input_names": ["input_ids", "token_type_ids"]}


def unigram_t5() -> Made:
    """T5's: A </s> B </s>, nothing in front."""
    tokenizer = _unigram(["<pad>", "</s>", "<unk>"])
    _wrapped(tokenizer, "$A </s>", "$A </s> $B </s>")
    return tokenizer, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def bytes_gpt2() -> Made:
    """GPT-2's: bytes with the blank in front, no special token around a text, none for padding."""
    tokenizer = _trained(
        models.BPE(), trainers.BpeTrainer, ["<|endoftext|>"],
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False), decoder=decoders.ByteLevel(),
        post_processor=processors.ByteLevel(trim_offsets=False),
    )  # fmt: skip
    return tokenizer, {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "padding_side": "left"}


def bytes_bloom() -> Made:
    """BLOOM's: as GPT-2's, with padding (on the left) of its own."""
    tokenizer = _trained(
        models.BPE(), trainers.BpeTrainer, ["<unk>", "<s>", "</s>", "<pad>"],
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False), decoder=decoders.ByteLevel(),
        post_processor=processors.ByteLevel(trim_offsets=False),
    )  # fmt: skip
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return tokenizer, {**names, "padding_side": "left"}


def bytes_llama() -> Made:
    """Llama 3's: bytes after its own splitting, a first token and no last, padding undefined."""
    split = pre_tokenizers.Split(Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+"), "isolated")
    tokenizer = _trained(
        models.BPE(ignore_merges=True), trainers.BpeTrainer, ["<|begin_of_text|>", "<|end_of_text|>"],
        pre_tokenizer=pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        ),
        decoder=decoders.ByteLevel(),
    )  # fmt: skip
    _wrapped(tokenizer, "<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|> $B")
    return tokenizer, {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}


def pieces_gemma() -> Made:
    """Gemma's: blanks are made visible, nothing is put before the first word; <bos> A."""
    tokenizer = _trained(
        models.BPE(unk_token="<unk>", fuse_unk=True), trainers.BpeTrainer, ["<pad>", "<eos>", "<bos>", "<unk>"],
        normalizer=normalizers.Replace(" ", "▁"), pre_tokenizer=pre_tokenizers.Split("▁", "merged_with_next"),
    )  # fmt: skip
    _wrapped(tokenizer, "<bos> $A", "<bos> $A <bos> $B")
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    return tokenizer, {**names, "padding_side": "left"}


def bytes_modernbert() -> Made:
    """ModernBERT's: bytes, [CLS] A [SEP] B [SEP], no token types."""
    tokenizer = _trained(
        models.BPE(), trainers.BpeTrainer, ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"],
        pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False), decoder=decoders.ByteLevel(),
    )  # fmt: skip
    _wrapped(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return tokenizer, {**names, "unk_token": "[UNK]", "model_input_names": ["input_ids", "attention_mask"]}


def _plain(kind: str, shape: Mapping[str, Any]) -> Any:
    """A headless model; of an architecture with several classes the first."""
    return AutoModel.from_config(AutoConfig.for_model(kind, **shape))


def _as_published(kind: str, shape: Mapping[str, Any]) -> Any:
    """A model whose configuration names code of its repository, as before transformers had the architecture."""
    model = _plain(kind, shape)
    model.config.auto_map = {"AutoModel": f"modeling_{kind}.Model"}
    return model


def _wrapper(kind: str, shape: Mapping[str, Any]) -> Any:
    """A model of pictures and text, as it is published."""
    return AutoModelForImageTextToText.from_config(
        AutoConfig.for_model(kind, text_config=dict(shape), vision_config=VISION, image_token_index=5)
    )


def _encoder_alone(kind: str, shape: Mapping[str, Any]) -> Any:
    return T5EncoderModel(AutoConfig.for_model(kind, **shape))


@dataclass(frozen=True)
class Kind:
    """An architecture with its tokenizer, and how it should read: both ways or from left to right."""

    model_type: str
    tokenizer: Callable[[], Made]
    shape: Mapping[str, Any]
    objective: str | None
    pooling: str
    build: Callable[[str, Mapping[str, Any]], Any] = field(default=_plain)


KINDS: Mapping[str, Kind] = {
    "xlm-roberta": Kind(
        "xlm-roberta", unigram_xlmr, {**ROUND, "type_vocab_size": 1, "max_position_embeddings": 514}, "masked", "cls"
    ),
    "bert": Kind("bert", word_pieces, ROUND, "masked", "cls"),
    "deberta-v3": Kind("deberta-v2", unigram_deberta, DISENTANGLED, "masked", "cls"),
    "modernbert": Kind("modernbert", bytes_modernbert, SHAPE, "masked", "cls"),
    "eurobert": Kind(
        "eurobert", bytes_modernbert, {**GROUPED, "max_position_embeddings": 512}, "masked", "cls", _as_published
    ),
    "xlm-roberta-decoder": Kind(
        "xlm-roberta",
        unigram_xlmr,
        {**ROUND, "type_vocab_size": 1, "is_decoder": True, "max_position_embeddings": 514},
        "causal",
        "last",
    ),
    "gpt2": Kind("gpt2", bytes_gpt2, GPT, "causal", "last"),
    "bloom": Kind(
        "bloom",
        bytes_bloom,
        {"hidden_size": 16, "n_layer": 2, "n_head": 2, "hidden_dropout": 0.0, "attention_dropout": 0.0},
        "causal",
        "last",
    ),  # fmt: skip
    "llama": Kind("llama", bytes_llama, {**SHAPE, "num_key_value_heads": 1}, "causal", "last"),
    "qwen3": Kind("qwen3", bytes_gpt2, GROUPED, "causal", "last"),
    "gemma2": Kind("gemma2", pieces_gemma, GROUPED, "causal", "last"),
    "gemma3-text": Kind("gemma3_text", pieces_gemma, {**GROUPED, "sliding_window": 8}, "causal", "last"),
    "gemma3": Kind("gemma3", pieces_gemma, GROUPED, "causal", "last", _wrapper),
    "mt5": Kind("mt5", unigram_t5, PAIR, None, "mean"),
    "umt5": Kind("umt5", unigram_t5, PAIR, None, "mean"),
    "t5-encoder": Kind("t5", unigram_t5, PAIR, None, "mean", _encoder_alone),
}


def write_folder(name: str, folder: Path) -> PreTrainedTokenizerFast:
    """Save a kind's model and tokenizer as they come from the hub; the tokenizer is returned."""
    kind = KINDS[name]
    backend, names = kind.tokenizer()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **names)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    shape = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **kind.shape}
    shape |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    if kind.model_type == "modernbert":
        shape |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
    kind.build(kind.model_type, shape).save_pretrained(folder)
    return tokenizer
