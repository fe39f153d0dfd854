"""Tuned models as classes of transformers: which class computes what our head computes, and where its weights are.

A form is tried by building the class with our weights and comparing its outputs with ours. So a class that pools
another token, normalises or activates otherwise is never taken for an equal.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.initialization import no_init_weights
from transformers.models.auto import modeling_auto

from stiltgrid.evaluation.prediction import EvaluationPaths, Predictor, Reader
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Model
from stiltgrid.modeling.batching import Batch
from stiltgrid.modeling.checkpoints import load_tuned
from stiltgrid.modeling.device import Compute
from stiltgrid.modeling.encoded import Encoded
from stiltgrid.modeling.tokenization import read_special_tokens
from stiltgrid.tasks.families import family
from stiltgrid.utils.checksums import seal_weights
from stiltgrid.utils.errors import SourceError

TRIAL_SEQUENCES = 16
TOLERANCE = 1e-4  # of the largest score; float32 arithmetic in another order


@dataclass(frozen=True)
class Form:
    """A head of transformers. `names`: our module -> the library's, where {base} is the backbone's attribute."""

    names: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)


_POOLED = (
    Form({"dense": "{base}.pooler.dense", "projection": "classifier"}),  # BERT
    Form({"dense": "pooler.dense", "projection": "classifier"}, {"pooler_hidden_act": "tanh"}),  # DeBERTa
    Form({"dense": "{base}.pooler", "projection": "classifier"}),  # ALBERT
)
# Family -> the library's class and its registry, and the forms that heads of that class have.
CLASSES: Mapping[str, tuple[str, str]] = {
    "sequence": ("AutoModelForSequenceClassification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING"),
    "tagging": ("AutoModelForTokenClassification", "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING"),
    "span": ("AutoModelForQuestionAnswering", "MODEL_FOR_QUESTION_ANSWERING_MAPPING"),
    "choice": ("AutoModelForMultipleChoice", "MODEL_FOR_MULTIPLE_CHOICE_MAPPING"),
}
FORMS: Mapping[str, tuple[Form, ...]] = {
    "sequence": (Form({"dense": "classifier.dense", "projection": "classifier.out_proj"}), *_POOLED),  # XLM-R first
    "tagging": (Form({"projection": "classifier"}), Form({"projection": "score"})),
    "span": (Form({"projection": "qa_outputs"}),),
    "choice": _POOLED,
}


def load_predictor(paths: EvaluationPaths, model: Model, head_card: TaskCard, card: TaskCard) -> Predictor:
    """A tuned model in float32 on the CPU; `head_card` is the card of its last training task.

    Raises SourceError for damaged files or a head that does not fit its card.
    """
    compute = Compute(torch.device("cpu"), torch.float32)
    backbone, state = load_tuned(paths.checkpoint)
    reader, kind = Reader(read_special_tokens(paths.tokenizer), model), family(head_card.family)
    head = kind.build_head(head_card, kind.pooled_width(backbone.hidden_size, reader.pooling(kind)))
    try:
        head.load_state_dict(state)
    except RuntimeError as error:
        raise SourceError(f"{paths.checkpoint}: its head does not fit card '{head_card.name}' ({error})") from error
    return Predictor(backbone.eval(), head.eval(), family(card.family), card, reader, compute)


def trial_batch(predictor: Predictor, encoded: Encoded) -> Batch:
    """Up to TRIAL_SEQUENCES sequences from all over a file, on which a form is compared with our model."""
    rows = np.unique(np.linspace(0, len(encoded) - 1, min(TRIAL_SEQUENCES, len(encoded))).round().astype(np.int64))
    return predictor.reader.batch(predictor.family, encoded, rows)


@dataclass(frozen=True)
class LibraryModel:
    """A tuned model in a class of transformers, loaded by `auto`. `places`: our head's keys -> the model's."""

    auto: str
    model: Any
    places: Mapping[str, str]

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Write config.json and weights: the backbone in `dtype`, in which it was stored, the head in float32."""
        state = self.model.state_dict()
        head = {name: state[name].clone() for name in self.places.values()}
        self.model.to(dtype)
        self.model.load_state_dict(head, strict=False, assign=True)
        self.model.save_pretrained(folder)
        for weights in sorted(folder.glob("*.safetensors")):
            seal_weights(weights)


def library_model(predictor: Predictor, trial: Batch) -> LibraryModel | None:
    """The tuned model as a class of transformers that computes the same, or None where there is none.

    Labels of the card become `id2label`. Weights share memory with the predictor's.
    """
    expected = scores(predictor, trial)
    for form in FORMS.get(predictor.family.name, ()):
        built = _built(form, predictor)
        if built is None:
            continue
        found = _library_scores(built.model, predictor, trial)
        limit = TOLERANCE * max(1.0, float(expected.abs().max()))
        if found.shape == expected.shape and float((found - expected).abs().max()) <= limit:
            return built
    return None


def scores(predictor: Predictor, batch: Batch) -> torch.Tensor:
    """What our head computes: (sequences, labels) or (sequences, 1), for tags and spans (tokens, outputs)."""
    assert predictor.head is not None
    read = {"tagging": batch.flat, "span": batch.compared}.get(predictor.family.name, batch.pool)
    with torch.inference_mode():
        found: torch.Tensor = predictor.head(read(predictor.backbone(batch)))
    return found


def set_labels(config: Any, labels: Sequence[str]) -> None:
    """Name a configuration's outputs."""
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {name: number for number, name in enumerate(labels)}


def _places(form: Form, model: Any, head: torch.nn.Module) -> dict[str, str] | None:
    """Our keys -> the library's, None where these are not the library head's keys and shapes."""
    base = model.base_model_prefix
    own, known = head.state_dict(), model.state_dict()
    places = {}
    for key, value in own.items():
        module, _, parameter = key.rpartition(".")
        place = f"{form.names[module].format(base=base)}.{parameter}" if module in form.names else ""
        if place not in known or known[place].shape != value.shape:
            return None
        places[key] = place
    return places


def _built(form: Form, predictor: Predictor) -> LibraryModel | None:
    """The library's class with our weights; None where its weights are not exactly these."""
    backbone, head = predictor.backbone, predictor.head
    assert head is not None
    auto, registry_name = CLASSES[predictor.family.name]
    registry = getattr(modeling_auto, registry_name)
    config = copy.deepcopy(backbone.model.config)
    if type(config) not in registry:
        return None
    for name, value in form.settings.items():
        if not hasattr(config, name):
            return None
        setattr(config, name, value)
    if predictor.family.name in ("sequence", "tagging"):
        set_labels(config, predictor.card.labels)
    with no_init_weights():
        model = registry[type(config)](config)
    places = _places(form, model, head)
    if places is None:
        return None
    state = {f"{model.base_model_prefix}.{key}": value for key, value in backbone.model.state_dict().items()}
    state |= {places[key]: value for key, value in head.state_dict().items()}
    needed = model.state_dict()
    if any(key not in state or state[key].shape != value.shape for key, value in needed.items()):
        return None
    model.load_state_dict({key: state[key] for key in needed}, assign=True)
    model.tie_weights()
    return LibraryModel(auto, model.float().eval(), places)


def _library_scores(model: Any, predictor: Predictor, batch: Batch) -> torch.Tensor:
    """The library's outputs in the shape of `scores`."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask.long()}
    if predictor.backbone.uses_segments and batch.segments is not None:
        inputs["token_type_ids"] = batch.segments
    if predictor.family.name == "choice":
        inputs = {name: value.unsqueeze(1) for name, value in inputs.items()}
    with torch.inference_mode():
        output = model(**inputs)
    if predictor.family.name == "span":
        return batch.flat(torch.stack([output.start_logits, output.end_logits], dim=-1))
    logits: torch.Tensor = output.logits
    return batch.flat(logits) if predictor.family.name == "tagging" else logits
