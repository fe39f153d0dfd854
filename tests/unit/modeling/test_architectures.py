"""Encoders, decoders and encoder-decoders through one interface: the same promises for each kind of backbone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from architectures import KINDS, write_folder
from stiltgrid.evaluation.prediction import Reader
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import Backbone, auto_class, load_backbone, model_options
from stiltgrid.modeling.batching import Batch
from stiltgrid.modeling.checkpoints import save_backbone
from stiltgrid.modeling.encoded import Encoded, to_table
from stiltgrid.modeling.tokenization import SubwordTokenizer, read_special_tokens
from stiltgrid.preparation.models import fetch_model
from stiltgrid.tasks.families import family
from transformers import AutoModel, AutoModelForTextEncoding, PreTrainedModel, PreTrainedTokenizerFast

PAIRS = [("The old lighthouse stands on a cliff.", "Its lamp turns."), ("Bread.", "Yes or no, and when did it happen?")]
WORDS = ["The", "lighthouse", "didn't", "老灯塔", "(", "1874", ")", "😀", "."]
CONTEXT = (
    "Every spring the villagers paint the boats. 老灯塔建于一八七四年，站在港口。 A baker 😀 sells rye-bread (1874)."
)
ANSWERS = ["the villagers", "一八七四年", "😀", "rye-bread", "1874", "Every", "."]


@dataclass(frozen=True)
class Fetched:
    """A kind of backbone in the grid's own form, beside the tokenizer that it was published with."""

    folder: Path
    original: Path
    published: PreTrainedTokenizerFast
    tokenizer: SubwordTokenizer
    backbone: Backbone

    @property
    def reader(self) -> Reader:
        return Reader(read_special_tokens(self.folder / "tokenizer"), Model("any"))

    def batch(self, sequences: list[list[int]], rows: list[int] | None = None) -> Batch:
        encoded = Encoded(to_table({"input_ids": sequences, "example": list(range(len(sequences)))}))
        return self.reader.batch(family("sequence"), encoded, np.asarray(rows or range(len(sequences))))

    def joined(self, first: str, second: str | None = None) -> list[int]:
        ids = self.tokenizer.ids([first, *([second] if second else [])])
        return self.tokenizer.join(*ids)


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture(scope="module")
def fetched(kind, tmp_path_factory):
    name = next(name for name, value in KINDS.items() if value is kind)
    original, folder = tmp_path_factory.mktemp(f"{name}-original"), tmp_path_factory.mktemp(name)
    published = write_folder(name, original)
    fetch_model(Model(name, path=str(original)), folder)
    backbone = load_backbone(folder / "backbone").eval()
    return Fetched(folder, original, published, SubwordTokenizer(folder / "tokenizer"), backbone)


@torch.inference_mode()
def test_its_kind_is_what_it_does(fetched, kind):
    """A state depends on later tokens just where the configuration says that the model reads both ways."""
    one, other = ([6, 7, 8, last] for last in (9, 10))
    first, second = (fetched.backbone(fetched.batch([ids]))[0, :3] for ids in (one, other))
    assert torch.equal(first, second) == (kind.objective == "causal") == fetched.tokenizer.causal
    assert fetched.backbone.objective == kind.objective
    assert fetched.reader.special.pooling == kind.pooling


@torch.inference_mode()
def test_states_depend_on_no_padding_and_no_batch_mates(fetched):
    sequences = [fetched.joined(*pair) for pair in PAIRS] + [fetched.joined(PAIRS[1][0])]
    together = fetched.batch(sequences)
    hidden, layers = fetched.backbone(together), fetched.backbone.all_layers(together)
    assert len(layers) == fetched.backbone.hidden_layers + 1 == 3
    for number, ids in enumerate(sequences):
        alone = fetched.batch(sequences, [number])
        torch.testing.assert_close(hidden[number, : len(ids)], fetched.backbone(alone)[0], rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(layers, fetched.backbone.all_layers(alone), strict=True):
            torch.testing.assert_close(ours[number, : len(ids)], theirs[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            together.pool(hidden)[number], alone.pool(fetched.backbone(alone))[0], rtol=1e-4, atol=1e-5
        )


@torch.inference_mode()
def test_a_pair_gets_the_vector_that_transformers_itself_would_give(fetched, kind):
    """Against the published tokenizer and an unpadded forward pass of the published model, token types included."""
    pair = PAIRS[0]
    both = fetched.published(*pair, return_tensors="pt")
    if kind.objective == "causal" and not fetched.published.cls_token:  # each text is closed by the end-of-text token
        ids = [fetched.published(text, add_special_tokens=False)["input_ids"] for text in pair]
        start = fetched.published("one")["input_ids"][: len(fetched.tokenizer.prefix)]
        end = fetched.published.eos_token_id
        both = {"input_ids": torch.tensor([[*start, *ids[0], end, *ids[1], end]])}
    assert both["input_ids"][0].tolist() == fetched.joined(*pair)
    auto = AutoModelForTextEncoding if "Encoder" in type(fetched.backbone.model).__name__ else AutoModel
    model = auto.from_pretrained(fetched.original).eval()
    reader = model.get_encoder() if model.config.is_encoder_decoder else model
    if hasattr(reader, "language_model"):
        reader = reader.language_model
    types = {name: both[name] for name in ("token_type_ids",) if name in both and kind.model_type == "bert"}
    theirs = reader(both["input_ids"], **types).last_hidden_state[0]
    end = fetched.published.eos_token_id
    inner = [place for place, number in enumerate(both["input_ids"][0].tolist()) if number != end]
    expected = {"cls": theirs[0], "last": theirs[-1], "mean": theirs[inner].mean(0)}[kind.pooling]
    batch = fetched.batch([fetched.joined(*pair), fetched.joined(*PAIRS[1])])
    torch.testing.assert_close(batch.pool(fetched.backbone(batch))[0], expected, rtol=1e-4, atol=1e-5)


def test_token_types_are_passed_to_models_that_were_trained_with_them(fetched, kind):
    batch = fetched.batch([fetched.joined(*PAIRS[0]), fetched.joined(PAIRS[1][0])])
    expected = fetched.published([list(PAIRS[0])]).get("token_type_ids")
    if expected is None or not any(expected[0]):
        assert batch.segments is None
    else:
        assert batch.segments[0].tolist() == expected[0]
        assert not batch.segments[1].any()
    assert fetched.backbone.uses_segments == (kind.model_type == "bert")


def test_answers_come_back_from_their_tokens(fetched, tools):
    """One-hot logits on the encoded start and end give exactly the answer's text, in every script."""
    question = "What, when?"
    card = tools.card(
        "span", {"context": "context", "question": "question", "answers": "answers"}, metric="f1", max_length=400
    )
    rows = [
        {"context": CONTEXT, "question": question, "answers": {"text": [text], "answer_start": [CONTEXT.index(text)]}}
        for text in ANSWERS
    ]
    bench = tools.Bench(card, rows, fetched.tokenizer)
    assert len(bench.encoded) == len(ANSWERS)
    before = fetched.tokenizer.join(fetched.tokenizer.ids([question])[0], [])[: -len(fetched.tokenizer.suffix)]
    assert bench.ids(0)[: len(before)].tolist() == before, "the question stands where answers can see it"

    def hidden(batch):
        states = torch.zeros(*batch.input_ids.shape, 2)
        for output, name in enumerate(("start", "end")):
            states[torch.arange(len(batch)), batch.scalars[name], output] = 9.0
        return states

    assert bench.decode(hidden).column("prediction").to_pylist() == ANSWERS


def test_no_answer_is_read_where_the_whole_window_is_known(fetched, tools):
    card = tools.card(
        "span", {"context": "context", "question": "question", "answers": "answers"}, metric="f1", max_length=400,
        options={"null_answers": True},
    )  # fmt: skip
    bench = tools.Bench(
        card, [{"context": CONTEXT, "question": "When?", "answers": {"text": [], "answer_start": []}}],
        fetched.tokenizer,
    )  # fmt: skip
    sequence = bench.ids(0).tolist()
    encoded = Encoded(to_table({"input_ids": [sequence], "example": [0], "start": [0], "end": [0]}))
    batch = fetched.reader.batch(family("span"), encoded, np.asarray([0]))
    place = len(sequence) - 1 if fetched.tokenizer.causal else 0
    states = torch.full((1, len(sequence), 2), -20.0)
    states[0, place] = 20.0
    assert bench.family.loss(card, tools.Readout(), states, batch) < 1e-6


def test_tags_stand_on_a_piece_of_their_word(fetched, tools):
    card = tools.card("tagging", {"tokens": "tokens", "tags": "tags"}, labels=tuple("abcdefghi"), max_length=120)
    bench = tools.Bench(card, [{"tokens": WORDS, "tags": list("abcdefghi")}], fetched.tokenizer)
    tokenizer = fetched.tokenizer
    ids, words = tokenizer.word_ids([WORDS])[0]
    assert bench.ids(0).tolist() == tokenizer.join(ids)
    tags = bench.encoded.tokens["tag"][len(tokenizer.prefix) : len(tokenizer.prefix) + len(ids)].tolist()
    assert [tag for tag in tags if tag >= 0] == list(range(9)), "one piece of each word, in order"
    for place, (tag, word) in enumerate(zip(tags, words, strict=True)):
        edge = words[place + 1 : place + 2] != [word] if tokenizer.causal else words[max(0, place - 1)] != word
        assert (tag == word) == (edge or place == 0 and not tokenizer.causal)


def test_words_become_the_pieces_of_running_text(fetched):
    """By the published tokenizer's own offsets: the same ids, and each lies in the word that it is said to be of."""
    words = ["The", "lighthouse", "turns", "on", "rye", "1874", "😀"]
    text = " ".join(words)
    ids, owners = fetched.tokenizer.word_ids([words])[0]
    running = fetched.published(text, add_special_tokens=False, return_offsets_mapping=True)
    assert ids == running["input_ids"]
    for owner, (start, end) in zip(owners, running["offset_mapping"], strict=True):
        assert text[:end].count(" ") == owner or text[start:end] in (" ", ""), (owner, start, end)


def test_published_weights_are_kept_to_the_last_bit(fetched):
    model = fetched.backbone.model
    again = load_backbone(fetched.folder / "backbone").model
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    assert not hasattr(model, "vision_tower")


def test_half_weights_are_not_read_twice(fetched, tmp_path, monkeypatch):
    save_backbone(fetched.backbone, tmp_path, torch.bfloat16)
    monkeypatch.setattr("stiltgrid.modeling.backbone.load_file", None)
    assert {value.dtype for value in load_backbone(tmp_path).model.parameters()} == {torch.float32}


def everything(model):
    """Weights, and buffers whether they are saved or not."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@torch.inference_mode()
def test_own_weights_are_read_without_transformers_loader_and_alike(fetched, tmp_path, monkeypatch):
    save_backbone(fetched.backbone, tmp_path)
    theirs = auto_class(fetched.backbone.model.config).from_pretrained(
        tmp_path, **model_options(fetched.backbone.model.config)
    )
    monkeypatch.setattr(PreTrainedModel, "from_pretrained", None)
    before = torch.get_rng_state()
    ours = load_backbone(tmp_path).model
    assert torch.equal(torch.get_rng_state(), before)
    assert not ours.training
    assert ours.config._attn_implementation == theirs.config._attn_implementation
    wanted, found = everything(theirs), everything(ours)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        assert value.dtype == found[name].dtype and torch.equal(value, found[name]), name
