"""Tuned models with their heads, and text vectors, as folders that transformers or sentence-transformers load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from stiltgrid.evaluation.prediction import EvaluationPaths, Predictor, Reader
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.backbone import auto_class, load_backbone, model_options
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import read_encoded
from stiltgrid.modeling.tokenization import SubwordTokenizer, read_special_tokens
from stiltgrid.reporting.exported_card import CARD, HUB_TASKS, CardFacts, CardText, model_card
from stiltgrid.reporting.exported_results import TargetResult
from stiltgrid.reporting.exported_tokenizer import needs_blanks, write_tokenizer
from stiltgrid.reporting.head_forms import library_model, load_predictor, set_labels, trial_batch
from stiltgrid.reporting.sentence_form import Vectors, write_sentence_model
from stiltgrid.reporting.usage import Usage, decoding, snippet
from stiltgrid.tasks.families import family
from stiltgrid.tasks.families.common import with_labels
from stiltgrid.tasks.families.embedding import retrieval_layer
from stiltgrid.utils.checksums import seal_weights, weights_header
from stiltgrid.utils.files import atomic_path, read_json, write_json
from stiltgrid.utils.parquet import read_schema

WEIGHTS = "model.safetensors"
SCORED = "Scored by this very model, in each language of the target without further training."
SENTENCES_USE = (
    "```python\nfrom sentence_transformers import SentenceTransformer\n\n"
    'model = SentenceTransformer(".")  # or the name of its repository on the hub\n'
    'vectors = model.encode(["A sentence.", "Ein Satz."])\n```\n\n'
    "transformers may report a missing pooler when it loads the folder: the vectors do not use one."
)


@dataclass(frozen=True)
class ExportSettings:
    """How a model is read: the target, the card of its head (None for text vectors), tokens of a sequence."""

    model: Model
    card: TaskCard
    head: TaskCard | None
    max_length: int


@dataclass(frozen=True)
class CardContent:
    """What goes into an exported model's card besides its use."""

    facts: CardFacts
    logs: Sequence[Mapping[str, Any]]
    results: Sequence[TargetResult]


def export_tuned(paths: EvaluationPaths, settings: ExportSettings, content: CardContent, out: Path) -> None:
    """Write a tuned model's folder: weights, tokenizer, card.

    A class of transformers is used where one computes what our head computes, as tried on encoded evaluation rows.
    Otherwise the folder holds the backbone and the head side by side, and the card shows how they are read. A dual
    encoder becomes a sentence-transformers model.

    Raises:
        SourceError: for damaged files or a head that does not fit its card.
    """
    assert settings.head is not None
    schema = read_schema(paths.rows)
    card, head_card = with_labels(settings.card, schema), with_labels(settings.head, schema)
    predictor = load_predictor(paths, settings.model, head_card, card)
    limit = min(settings.max_length, predictor.backbone.max_length or settings.max_length)
    settings = replace(settings, card=card, head=head_card, max_length=limit)
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        if card.family == "dual":
            _write_dual(predictor, settings, paths, content, temporary)
            return
        text = _write_with_head(predictor, settings, paths, temporary)
        write_tokenizer(Path(paths.tokenizer), temporary, limit)
        _write_card(content, text, temporary)


def export_sentences(paths: EvaluationPaths, settings: ExportSettings, content: CardContent, out: Path) -> None:
    """Write a backbone as a sentence-transformers model with the vectors that the retrieval targets were scored by.

    These are the states of the model's retrieval layer, pooled as its settings say.
    """
    compute = Compute(torch.device("cpu"), torch.float32)
    backbone = load_backbone(paths.checkpoint).eval()
    reader, kind = Reader(read_special_tokens(paths.tokenizer), settings.model), family(settings.card.family)
    predictor = Predictor(backbone, None, kind, settings.card, reader, compute)
    layer = retrieval_layer({"retrieval_layer": settings.model.retrieval_layer}, backbone.hidden_layers)
    limit = min(settings.max_length, backbone.max_length or settings.max_length)
    about = (
        f"A multilingual model of text vectors: the states of layer {layer} of {backbone.hidden_layers} (0 is the "
        f"embeddings' output), pooled by `{kind.pooling(reader.pooling(kind))}`, of unit length."
    )
    notes = f"Texts are cut at {limit} tokens."
    if settings.model.retrieval_centred:
        notes += (
            " The scores above were computed from centred vectors: the mean vector of each language's sentences was "
            "subtracted first. That mean belongs to a pool of sentences, so it is not part of the model."
        )
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        vectors = Vectors(layer, kind.pooling(reader.pooling(kind)), limit)
        _write_vectors(predictor, vectors, paths, temporary)
        text = CardText(
            about, f"{SENTENCES_USE}\n\n{notes}", "sentence-transformers", HUB_TASKS["embedding"],
            "Scored by these vectors, without training on any target.",
        )  # fmt: skip
        _write_card(content, text, temporary)


def _write_dual(
    predictor: Predictor, settings: ExportSettings, paths: EvaluationPaths, content: CardContent, out: Path
) -> None:
    """A dual encoder: the last layer's pooled state."""
    limits = [
        min(settings.max_length, int(settings.card.options.get(name) or settings.max_length))
        for name in ("query_length", "candidate_length")
    ]
    backbone = predictor.backbone
    pooling = predictor.family.pooling(predictor.reader.pooling(predictor.family))
    _write_vectors(predictor, Vectors(backbone.hidden_layers, pooling, max(limits)), paths, out)
    about = (
        f"A multilingual dual encoder for the task `{settings.card.name}`: queries and candidates are ranked by the "
        f"cosine of their vectors, which are the last layer's states pooled by `{pooling}`."
    )
    notes = (
        f"Queries were cut at {limits[0]} tokens and candidates at {limits[1]}; the folder's limit is {max(limits)} "
        "(set `model.max_seq_length` for the other). A candidate of two texts, such as a sentence and its context, is "
        "a pair: `model.encode([(sentence, context)])`."
    )
    text = CardText(
        about, f"{SENTENCES_USE}\n\n{notes}", "sentence-transformers", HUB_TASKS["dual"], SCORED
    )  # fmt: skip
    _write_card(content, text, out)


def _write_vectors(predictor: Predictor, vectors: Vectors, paths: EvaluationPaths, out: Path) -> None:
    trial = trial_batch(predictor, read_encoded(paths.encoded))
    dtype = stored_dtype(Path(paths.checkpoint) / WEIGHTS)
    write_sentence_model(predictor.backbone, predictor.reader.special, vectors, trial, dtype, out)
    _load_as_float32(out)
    write_tokenizer(Path(paths.tokenizer), out, vectors.max_length)


def _write_with_head(predictor: Predictor, settings: ExportSettings, paths: EvaluationPaths, out: Path) -> CardText:
    """Weights and configuration, and the text of a card that says how to use them."""
    kind, backbone, card = predictor.family, predictor.backbone, settings.card
    dtype = stored_dtype(Path(paths.checkpoint) / WEIGHTS)
    found = library_model(predictor, trial_batch(predictor, read_encoded(paths.encoded)))
    config = backbone.model.config
    if found is not None:
        found.save(out, dtype)
        auto, options = found.auto, None
        form = f"`{auto}` loads it with its head; on rows of the target it gives the scores that this project computed."
    else:
        assert predictor.head is not None
        if kind.name in ("sequence", "tagging"):
            set_labels(config, card.labels)
        backbone.model.to(dtype).save_pretrained(out)
        save_file({key: value.contiguous() for key, value in predictor.head.state_dict().items()},
                  out / "head.safetensors")  # fmt: skip
        for weights in sorted(out.glob("*.safetensors")):
            seal_weights(weights)
        auto, options = auto_class(config).__name__, model_options(config)
        form = (
            f"transformers has no class with this head for this architecture and pooling, so `{auto}` loads the "
            "backbone, and the code applies the head, which is in `head.safetensors`."
        )
    _load_as_float32(out)
    tokenizer = SubwordTokenizer(paths.tokenizer)
    usage = Usage(
        card, predictor.reader.special, auto, found is not None,
        kind.pooling(predictor.reader.pooling(kind)), settings.max_length,
        encoder=bool(config.is_encoder_decoder) and found is None, options=options,
        blanks=needs_blanks(Path(paths.tokenizer)), unknown=tokenizer.unknown,
    )  # fmt: skip
    about = f"A multilingual model fine-tuned in stages for the task `{card.name}`: {card.about or 'see below'}. {form}"
    use = f"```python\n{snippet(usage)}\n```\n\n{decoding(card)}"
    return CardText(about, use, "transformers", HUB_TASKS[kind.name], SCORED)


def _write_card(content: CardContent, text: CardText, out: Path) -> None:
    card = model_card(content.facts, text, content.logs, content.results)
    (out / CARD).write_text(card, encoding="utf-8")


def stored_dtype(weights: Path) -> torch.dtype:
    """The dtype of a file's backbone: the first floating-point one that is not float32, if there is one."""
    kinds = {entry["dtype"] for name, entry in weights_header(weights).items() if name != "__metadata__"}
    return torch.bfloat16 if "BF16" in kinds else torch.float16 if "F16" in kinds else torch.float32


def _load_as_float32(out: Path) -> None:
    """Make float32 the dtype that the folder is loaded in by default: heads are stored in it, and scores agree."""
    config = read_json(out / "config.json")
    write_json({**config, "dtype": "float32"}, out / "config.json")
