"""Intermediate checkpoints as ordinary Hugging Face folders: weights, tokenizer and model card."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.analysis.tables import AnyPath
from stiltgrid.reporting.exported_card import CARD, CardFacts, CardText, model_card
from stiltgrid.reporting.exported_results import TargetResult
from stiltgrid.reporting.exported_tokenizer import write_tokenizer
from stiltgrid.utils.checksums import verify_weights
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path

WEIGHTS = ("config.json", "model.safetensors")
TEXT = CardText(
    about="A multilingual model fine-tuned on intermediate tasks, to be fine-tuned again on a target task. It holds "
    "the backbone only: the heads of the intermediate tasks are left out.",
    use='```python\nfrom transformers import AutoModel, AutoTokenizer\n\nfolder = "."  # or the name of its repository '
    "on the hub\ntokenizer = AutoTokenizer.from_pretrained(folder)\nmodel = AutoModel.from_pretrained(folder)\n```",
    library="transformers",
    pipeline="feature-extraction",
    scores_about="These are not scores of this model itself: each target was fine-tuned from it in English (retrieval "
    "targets read its layers) and scored in all its languages.",
    by_language=False,
)


def export_checkpoint(
    checkpoint_dir: AnyPath,
    tokenizer_dir: AnyPath,
    facts: CardFacts,
    logs: Sequence[Mapping[str, Any]],
    results: Sequence[TargetResult],
    out: AnyPath,
) -> None:
    """Write a folder that `AutoModel.from_pretrained` and `AutoTokenizer.from_pretrained` load.

    Holds the backbone without its heads, in the dtype that it was trained in; the tokenizer wraps texts and pairs
    as training did. Raises SourceError for an incomplete or damaged checkpoint.
    """
    source = Path(checkpoint_dir)
    absent = [name for name in WEIGHTS if not (source / name).is_file()]
    if absent:
        raise SourceError(f"{source}: expected a checkpoint with {', '.join(WEIGHTS)}, found no {', '.join(absent)}")
    verify_weights(source / WEIGHTS[1])
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        for name in WEIGHTS:
            shutil.copyfile(source / name, temporary / name)
        write_tokenizer(Path(tokenizer_dir), temporary)
        (temporary / CARD).write_text(model_card(facts, TEXT, logs, results), encoding="utf-8")
