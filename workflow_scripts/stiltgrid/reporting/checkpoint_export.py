"""Intermediate checkpoints as ordinary Hugging Face folders: weights, tokenizer and model card."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.analysis.tables import AnyPath, read_transfer
from stiltgrid.grid.grid import NONE
from stiltgrid.grid.layout import Layout
from stiltgrid.modeling.tokenization import SpecialTokens, read_special_tokens
from stiltgrid.utils.checksums import verify_weights
from stiltgrid.utils.errors import SourceError
from stiltgrid.utils.files import atomic_path, read_json, write_json

WEIGHTS = ("config.json", "model.safetensors")
CARD = "README.md"
UNKNOWN_LICENCE = "other"


@dataclass(frozen=True)
class TaskFacts:
    """The facts about a training task in a model card; `hub` and `revision` are None for local data."""

    name: str
    about: str
    citation: str
    languages: tuple[str, ...]
    source: str
    hub: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class CheckpointFacts:
    """The facts about a checkpoint in a model card, apart from its scores and training log."""

    model: str
    intermediate: str
    seed: int
    base: str | None
    revision: str | None
    licence: str | None
    recipe: Mapping[str, Any]
    tasks: tuple[TaskFacts, ...]


def export_checkpoint(
    checkpoint_dir: AnyPath,
    tokenizer_dir: AnyPath,
    facts: CheckpointFacts,
    scores_path: AnyPath,
    layout: Layout,
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
    log = read_json(source / "training.json") if (source / "training.json").is_file() else {}
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        for name in WEIGHTS:
            shutil.copyfile(source / name, temporary / name)
        _write_tokenizer(Path(tokenizer_dir), temporary)
        scores = list(_scores(scores_path, layout, facts))
        (temporary / CARD).write_text(model_card(facts, log, scores), encoding="utf-8")


def _write_tokenizer(folder: Path, out: Path) -> None:
    """A tokenizer.json that adds special tokens itself, and the settings that transformers reads."""
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
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": names[special.pad]}
    types = ["token_type_ids"] if special.segments else []
    settings["model_input_names"] = ["input_ids", *types, "attention_mask"]
    if special.mask is not None:
        settings["mask_token"] = tokenizer.id_to_token(special.mask) or ""
    if special.prefix:
        settings |= {"bos_token": names[special.prefix[0]], "cls_token": names[special.prefix[0]]}
    if special.suffix:
        settings |= {"eos_token": names[special.suffix[-1]], "sep_token": names[special.suffix[-1]]}
    write_json(settings, out / "tokenizer_config.json")


def _templates(special: SpecialTokens, names: Mapping[int, str]) -> tuple[list[str], list[str]]:
    def pieces(ids: Iterable[int], segment: int = 0) -> list[str]:
        return [f"{names[number]}:{segment}" for number in ids]

    before, between, after = pieces(special.prefix), pieces(special.middle), pieces(special.suffix)
    second = int(special.segments)
    return [*before, "$A:0", *after], [*before, "$A:0", *between, f"$B:{second}", *pieces(special.suffix, second)]


def _scores(scores_path: AnyPath, layout: Layout, facts: CheckpointFacts) -> Iterator[tuple[str, ...]]:
    """Target, metric, split, languages, score, gain over `none` with the same seed."""
    transfer = read_transfer(scores_path, layout)
    for column in layout.columns:
        cell = transfer.cell(facts.model, facts.intermediate, column.target)
        baseline = transfer.cell(facts.model, NONE, column.target)
        if cell is None or facts.seed not in cell.seed_scores:
            continue
        score = cell.seed_scores[facts.seed]
        none = baseline.seed_scores.get(facts.seed) if baseline else None
        gain = "" if none is None else f"{score - none:+.1f}"
        yield column.target, column.metric, column.split, str(len(column.languages)), f"{score:.1f}", gain


def model_card(facts: CheckpointFacts, log: Mapping[str, Any], scores: Sequence[Sequence[str]]) -> str:
    """The README.md of a checkpoint: front matter for the hub, then data, recipe, seed, scores and licence."""
    name = f"{facts.model} after {facts.intermediate}, seed {facts.seed}"
    base = f"`{facts.base}`" + (f" at `{facts.revision}`" if facts.revision else "") if facts.base else "made here"
    parts = [
        _front_matter(facts),
        f"# {name}",
        "A multilingual model fine-tuned on intermediate tasks, to be fine-tuned again on a target task. It holds "
        "the backbone only: the heads of the intermediate tasks are left out.",
        f"Base: {base}. Seed: {facts.seed}.",
        "## Data",
        _table(
            ("task", "what", "languages", "from", "citation"),
            [(t.name, t.about, " ".join(t.languages), _origin(t), t.citation) for t in facts.tasks],
        ),
        "## Recipe",
        _code(facts.recipe),
        *_stages(log),
        "## Scores",
        "Points from 0 to 100, each target fine-tuned from this checkpoint in English and scored in all its "
        "languages (mean); the gain is over the untouched base with the same seed.",
        _table(("target", "metric", "split", "languages", "score", "gain"), scores) if scores else "None yet.",
        "## Licence",
        f"Base model: {facts.licence or _unstated(facts)}. The data sets above have licences of their "
        "own, some of them for research only: check each before you pass this model on.",
        "## Use",
        '```python\nfrom transformers import AutoModel, AutoTokenizer\n\ntokenizer = AutoTokenizer.from_pretrained'
        '("this folder")\nmodel = AutoModel.from_pretrained("this folder")\n```',
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: CheckpointFacts) -> str:
    languages = sorted({code for task in facts.tasks for code in task.languages})
    values: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "feature-extraction",
        "license": (facts.licence or UNKNOWN_LICENCE).lower(),
        "tags": ["intermediate-task-training", facts.intermediate],
        "language": languages,
        "datasets": sorted({task.hub for task in facts.tasks if task.hub}),
    }
    if facts.base:
        values["base_model"] = facts.base
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items() if value)
    return "\n".join(["---", *lines, "---"])  # JSON is YAML


def _unstated(facts: CheckpointFacts) -> str:
    return "licence not stated here; see its own page" if facts.base else "trained here, no licence of its own"


def _origin(task: TaskFacts) -> str:
    if task.hub is None:
        return task.source
    return f"{task.hub}" + (f" at {task.revision}" if task.revision else "")


def _stages(log: Mapping[str, Any]) -> Iterator[str]:
    """One paragraph per stage of the training log: its steps, the best step, its settings."""
    for stage in log.get("stages", ()):
        words = [f"Stage `{stage.get('name')}`"]
        if "planned_steps" in stage:
            words.append(f"{stage['planned_steps']} steps planned, weights of step {stage.get('best_step')} kept")
        if stage.get("best_score") is not None:
            words.append(f"best development score {stage['best_score']:.1f}")
        counts = [f"{task['name']} {task['examples']}" for task in stage.get("tasks", ()) if "examples" in task]
        yield "; ".join([*words, *([f"training examples: {', '.join(counts)}"] if counts else [])]) + "."
        yield _code(stage.get("settings", {}))


def _code(value: Mapping[str, Any]) -> str:
    return f"```json\n{json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str)}\n```"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(field).replace("|", "\\|") for field in line) + " |" for line in lines)
