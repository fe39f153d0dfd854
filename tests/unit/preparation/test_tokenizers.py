import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from stiltgrid.modeling.backbone import load_backbone
from stiltgrid.modeling.tokenization import SubwordTokenizer
from stiltgrid.preparation.raw_text import prepare_text
from stiltgrid.preparation.tokenizers import train_tokenizer
from stiltgrid.training.language_modelling import PackedText, PretrainSettings, build_language_model, mask_tokens
from stiltgrid.training.pretraining import PretrainingPaths, train_language_model
from stiltgrid.utils.errors import SourceError, StiltgridError
from transformers import AutoModel, AutoModelForMaskedLM

TEXTS = {
    "en": ["the lamp turns all night.", "every boat is blue, and white.", "honey cakes and salted butter!"] * 30,
    "de": ["die Lampe dreht sich.", "jedes Boot ruht am Ufer."] * 10,
    "zh": ["老灯塔整夜转动。", "每条船都是蓝色的。"] * 10,
}
SETTINGS = {
    "architecture": {
        "model_type": "xlm-roberta",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "type_vocab_size": 1,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    "sequence_length": 16,
    "steps": 40,
    "tokens_per_step": 256,
    "mask_rate": 0.3,
    "learning_rate": 4e-3,
    "languages": ["en"],
    "tokenizer": {"vocabulary": 1},
}

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
DECODERS = {
    "xlm-roberta": SETTINGS["architecture"],
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
    "llama": {**SHAPE, "num_key_value_heads": 2},
    "gemma2": {**SHAPE, "num_key_value_heads": 1, "head_dim": 16},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretraining")
    source = SimpleNamespace(text=lambda language: iter(TEXTS[language]))
    prepare_text(source, list(TEXTS), None, folder / "text.parquet")
    settings = {"algorithm": "bpe", "vocabulary": 150, "pre_tokenizer": "scripts"}
    train_tokenizer(folder / "text.parquet", settings, folder / "tokenizer")
    return folder


@pytest.fixture()
def pretrain(place, tmp_path):
    def run(name="model", **settings):
        out = tmp_path / name
        settings = {**SETTINGS, **settings}
        paths = PretrainingPaths(place / "text.parquet", place / "tokenizer", out)
        train_language_model(paths, settings, 1, {"code": "abc"})
        return out

    return run


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_text_is_capped_by_characters_a_language_and_refused_where_there_is_none(tmp_path):
    source = SimpleNamespace(text=lambda language: iter(TEXTS.get(language, [])))
    prepare_text(source, ["zh", "en"], 100, tmp_path / "text.parquet")
    table = pq.read_table(tmp_path / "text.parquet")
    assert table.column("language").to_pylist() == ["zh"] * 11 + ["en"] * 3
    for language in ("zh", "en"):
        pairs = zip(table["language"].to_pylist(), table["text"].to_pylist(), strict=True)
        texts = [text for name, text in pairs if name == language]
        assert texts == TEXTS[language][: len(texts)] and sum(map(len, texts)) <= 100
    with pytest.raises(SourceError, match="no raw text for language 'fr'"):
        prepare_text(source, ["en", "fr"], 100, tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()


@pytest.mark.parametrize("pre_tokenizer", ["metaspace", "scripts"])
@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_tokenizers_are_the_same_each_time_and_laid_out_as_xlm_r(place, tmp_path, algorithm, pre_tokenizer):
    settings = {"algorithm": algorithm, "vocabulary": 120, "pre_tokenizer": pre_tokenizer}
    for name in ("a", "b"):
        train_tokenizer(place / "text.parquet", settings, tmp_path / name)
    a, b = ((tmp_path / name / "tokenizer.json").read_bytes() for name in "ab")
    assert a == b
    tokenizer = SubwordTokenizer(tmp_path / "a")
    assert tokenizer.vocabulary_size <= 120
    assert (tokenizer.prefix, tokenizer.pad, tokenizer.suffix, tokenizer.mask) == ([0], 1, [2], 4)
    assert tokenizer.middle == [2, 2]
    text = "the lamp, 老灯塔 Lampe!"
    pieces = tokenizer.pieces([text])[0]
    covered = {place for start, end in zip(pieces.starts, pieces.ends, strict=True) for place in range(start, end)}
    assert {place for place, character in enumerate(text) if character != " "} <= covered
    assert 3 not in pieces.ids, "all of these characters were in the text"


def test_scripts_and_punctuation_part_words(place):
    tokenizer = SubwordTokenizer(place / "tokenizer")
    pieces = tokenizer.pieces(["blue,white老灯"])[0]
    parts = {"blue,white老灯"[start:end] for start, end in zip(pieces.starts, pieces.ends, strict=True)}
    assert "," in parts and not any("," in part and len(part) > 1 for part in parts)
    assert not any(part[0].isascii() != part[-1].isascii() for part in parts)


def test_masking_is_eighty_ten_ten_and_spares_special_tokens():
    random = np.random.default_rng(0)
    ids = random.integers(0, 1000, (500, 64))
    special = np.arange(5)
    masked, places = mask_tokens(ids, 0.3, 4, special, 1000, random)
    before, after = ids.reshape(-1)[places], masked.reshape(-1)[places]
    assert len(places) / (ids >= 5).sum() == pytest.approx(0.3, abs=0.01)
    assert not np.isin(before, special).any()
    assert (after == 4).mean() == pytest.approx(0.8, abs=0.02)
    assert (after == before).mean() == pytest.approx(0.1, abs=0.02)
    assert after[after != 4].min() >= 5, "random pieces are no special tokens"
    untouched = np.delete(np.arange(ids.size), places)
    np.testing.assert_array_equal(ids.reshape(-1)[untouched], masked.reshape(-1)[untouched])


def test_packed_rows_hold_every_document_and_no_padding(place):
    tokenizer = SubwordTokenizer(place / "tokenizer")
    text = PackedText(place / "text.parquet", tokenizer, 16, seed=1)
    assert text.languages == ["de", "en", "zh"]
    for language, rows in zip(text.languages, text.rows, strict=True):
        total = sum(len(ids) + 2 for ids in tokenizer.ids(TEXTS[language]))
        assert rows.shape == (total // 16, 16)
        assert not (rows == tokenizer.pad).any()
        assert (rows == 0).sum() == pytest.approx(len(TEXTS[language]), abs=3)


def test_languages_are_drawn_by_their_tokens_to_the_exponent(place):
    tokenizer = SubwordTokenizer(place / "tokenizer")
    text = PackedText(place / "text.parquet", tokenizer, 16, seed=1)
    members = [{row.tobytes() for row in rows} for rows in text.rows]
    for exponent in (1.0, 0.3):
        steps = np.concatenate(list(text.steps(300, 8, exponent, seed=1)))
        assert steps.shape == (2400, 16)
        counts = np.array([sum(row.tobytes() in known for row in steps) for known in members])
        weights = np.array(list(text.tokens.values())) ** exponent
        np.testing.assert_allclose(counts / 2400, weights / weights.sum(), atol=0.04)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_masked_models_learn_and_load_by_name(pretrain, optimizer):
    out = pretrain(optimizer=optimizer)
    found = losses(out)
    assert np.mean(found[-5:]) < np.mean(found[:5]) - 0.8
    backbone = load_backbone(out)
    assert backbone.max_length == 16
    state = AutoModel.from_pretrained(out, add_pooling_layer=False).state_dict()
    assert all(torch.equal(state[key], value) for key, value in backbone.model.state_dict().items())
    record = json.loads((out / "pretraining.json").read_text())
    assert record["provenance"] == {"code": "abc"} and record["tokens"].keys() == TEXTS.keys()


def test_backbone_and_language_model_head_fit_together_again(pretrain, place):
    out = pretrain()
    head = load_file(out / "lm_head.safetensors")
    assert not any("decoder.weight" in key for key in head), "tied to the embeddings"
    model = AutoModelForMaskedLM.from_pretrained(out)
    assert model.load_state_dict(head, strict=False).unexpected_keys == []
    model.tie_weights()
    tokenizer = SubwordTokenizer(place / "tokenizer")
    rows = torch.from_numpy(PackedText(place / "text.parquet", tokenizer, 16, 1).rows[1][:32].astype(np.int64))
    masked = rows.clone()
    masked[:, 5::7] = tokenizer.mask
    logits = model.eval()(masked).logits[:, 5::7]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 5::7].flatten())
    assert loss < np.mean(losses(out)[:3]) - 0.5


def test_pretraining_is_deterministic_and_follows_its_seed(pretrain):
    a, b, c = (pretrain(name, steps=5, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    read = [(folder / "model.safetensors").read_bytes() for folder in (a, b, c)]
    assert read[0] == read[1] != read[2]


def test_the_first_steps_see_short_rows_and_the_last_ones_all_positions(pretrain, place):
    settings = PretrainSettings.read({**SETTINGS, "steps": 10, "short_length": 8, "short_share": 0.6})
    ids = np.arange(64).reshape(4, 16)
    assert [settings.rows(ids, step).shape for step in (0, 5, 6, 9)] == [(8, 8), (8, 8), (4, 16), (4, 16)]
    assert np.array_equal(settings.rows(ids, 0).reshape(-1), ids.reshape(-1))

    folders = [pretrain(f"share{share}", steps=5, short_length=8, short_share=share) for share in (0.0, 1.0)]
    plain, long, short = ((folder / "model.safetensors").read_bytes() for folder in (pretrain(steps=5), *folders))
    assert plain == long != short


def test_an_architecture_without_the_objective_is_refused(pretrain, tmp_path):
    with pytest.raises(StiltgridError, match="'llama' has no masked language model"):
        pretrain(architecture={"model_type": "llama", "hidden_size": 32})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", DECODERS)
def test_decoders_are_pretrained_from_left_to_right(pretrain, kind, optimizer):
    architecture = {"model_type": kind, **DECODERS[kind]}
    out = pretrain(objective="causal", architecture=architecture, optimizer=optimizer)
    assert losses(out)[-1] < losses(out)[0] - 0.8
    backbone = load_backbone(out).eval()
    ids = torch.arange(5, 13).repeat(2, 1)
    ids[1, -1] = 50
    first, second = backbone.model(ids).last_hidden_state
    assert torch.equal(first[:-1], second[:-1]) and backbone.objective == "causal"


def test_the_decoder_twin_has_the_encoders_size(place):
    """The same settings but for the objective: the same parameters, of backbone and language-model head."""
    tokenizer = SubwordTokenizer(place / "tokenizer")
    encoder, decoder = (
        build_language_model(PretrainSettings.read({**SETTINGS, "objective": objective}), tokenizer)
        for objective in ("masked", "causal")
    )
    shapes = [{name: tuple(value.shape) for name, value in model.named_parameters()} for model in (encoder, decoder)]
    assert shapes[0] == shapes[1]
    assert not encoder.config.is_decoder and decoder.config.is_decoder


def test_a_decoders_tokenizer_says_how_it_reads(place, tmp_path):
    settings = {"algorithm": "bpe", "vocabulary": 150, "pre_tokenizer": "scripts"}
    train_tokenizer(place / "text.parquet", {**settings, "objective": "causal"}, tmp_path / "tokenizer")
    decoder, encoder = (SubwordTokenizer(folder / "tokenizer") for folder in (tmp_path, place))
    assert (decoder.causal, decoder.special.pooling) == (True, "last")
    assert (encoder.causal, encoder.special.pooling) == (False, "cls")
    assert (tmp_path / "tokenizer/tokenizer.json").read_bytes() == (place / "tokenizer/tokenizer.json").read_bytes()
