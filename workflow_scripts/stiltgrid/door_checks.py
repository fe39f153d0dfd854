"""What a schema cannot say: names that must exist elsewhere, lengths that must agree, numbers that must fit."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stiltgrid.cards import NONE, Grid, Model, TaskCard
from stiltgrid.errors import nearest
from stiltgrid.positions import position_limit

_CAUSAL_TYPES = ("gpt2", "gpt_neox", "llama", "qwen2", "qwen3", "gemma", "mistral", "bloom")


def card_problems(card: TaskCard, cards: Mapping[str, TaskCard], names: Sequence[str]) -> list[str]:
    """Everything in a card that disagrees with itself or with the rest of the catalogue. `names` are all tasks."""
    return [f"tasks/{card.name}.yaml: {problem}" for problem in _card_problems(card, cards, names)]


def _card_problems(card: TaskCard, cards: Mapping[str, TaskCard], names: Sequence[str]) -> Iterator[str]:
    for key, references in (("train", card.train), *((f"rows.{split}", names_) for split, names_ in card.rows.items())):
        for name in references:
            if name not in names:
                yield f"{key}: no such task '{name}', {nearest(name, names)}"
    if card.label_values and len(card.label_values) != len(card.labels):
        yield f"label_values: expected one for each of the {len(card.labels)} labels, found {len(card.label_values)}"
    if card.family == "tagging" and not card.labels and not card.options.get("labels_from_data"):
        yield "labels: must not be empty unless options.labels_from_data collects them"
    positive = card.options.get("positive")
    if positive is not None and positive not in card.labels:
        yield f"options.positive: no such label '{positive}', {nearest(positive, card.labels)}"
    for name in (origin for origins in card.rows.values() for origin in origins if origin in cards):
        origin = cards[name]
        if not card.adapter and (origin.family != card.family or origin.labels != card.labels):
            yield f"rows: the rows of '{name}' need an adapter, because its family or labels differ from this card's"
    if card.adapter and importlib.util.find_spec(f"stiltgrid.adapters.{card.adapter}") is None:
        there = [path.stem for path in (Path(__file__).parent / "adapters").glob("[a-z]*.py")]
        yield f"adapter: no such module '{card.adapter}' in stiltgrid/adapters, {nearest(card.adapter, there)}"
    yield from _stage_problems(card, cards)


def hub_problems(card: TaskCard) -> list[str]:
    """Languages of a card that the templates of its hub section cannot name."""
    return [f"tasks/{card.name}.yaml: {problem}" for problem in _hub_problems(card)]


def _hub_problems(card: TaskCard) -> Iterator[str]:
    hub = card.hub or {}
    elsewhere = {language for part in hub.get("overrides", ()) for language in part["languages"]}
    parts = [("hub", hub, [language for language in card.languages if language not in elsewhere])]
    for number, part in enumerate(hub.get("overrides", ())):
        parts.append((f"hub.overrides[{number}]", part, part["languages"]))
    for place, part, languages in parts:
        templates = " ".join([str(part.get("config", "")), *part.get("data_files", {}).values()])
        without = [language for language in languages if language not in hub.get("codes", {})]
        if "{code}" in templates and without:
            yield f"{place}: uses {{code}}, but hub.codes has none for {', '.join(without)}"
    without = [language for language in card.languages if language not in hub.get("prefix", {}).get("values", {})]
    if "prefix" in hub and without:
        yield f"hub.prefix.values: expected one for every language, found none for {', '.join(without)}"


def _stage_problems(card: TaskCard, cards: Mapping[str, TaskCard]) -> Iterator[str]:
    """The head that scores a target is the last stage's: it must be of the same family and labels."""
    last = cards.get(card.train[-1]) if card.train else None
    if last and last.family != card.family:
        yield f"train: '{last.name}' is of family {last.family}, so its head cannot score a {card.family} task"
    elif last and last.family in ("sequence", "tagging") and last.labels != card.labels:
        theirs, ours = ", ".join(last.labels), ", ".join(card.labels)
        yield f"train: the labels of '{last.name}' ({theirs}) are not this card's ({ours})"
    # Choices are scored one by one, so only families with a head over labels are bound to their number.


def grid_problems(grid: Grid, names: Sequence[str], root: Path) -> list[str]:
    """Everything in the configuration that disagrees with the catalogue. `names` are all tasks, sound or not."""
    return [f"config: {problem}" for check in _GRID_CHECKS for problem in check(grid, names, root)]


def _intermediates(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    valid = (NONE, *grid.recipes, *names)
    for name in grid.intermediates:
        if name not in valid:
            yield f"intermediates: no task or recipe '{name}', {nearest(name, valid)}"


def _recipes(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for recipe in grid.recipes.values():
        if recipe.name in names:
            yield f"recipes.{recipe.name}: this is a task's name; a recipe needs one of its own"
        for task in recipe.tasks:
            if task not in names:
                yield f"recipes.{recipe.name}.tasks: no such task '{task}', {nearest(task, names)}"
        if recipe.temperature != 1 and recipe.sampling != "temperature":
            yield f"recipes.{recipe.name}.temperature: has no effect with sampling '{recipe.sampling}'"
        if recipe.cap is not None and recipe.sampling == "uniform":
            yield f"recipes.{recipe.name}.cap: has no effect with sampling 'uniform'"


def _targets(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for name in grid.targets:
        if name not in names:
            yield f"targets: no such task '{name}', {nearest(name, names)}"
        elif name in grid.cards and not grid.cards[name].train and grid.cards[name].family != "embedding":
            yield f"targets: '{name}' has an empty `train`, and a {grid.cards[name].family} task needs a trained head"


def _settings(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for section, tasks in (("training", grid.training), ("evaluation", grid.evaluation)):
        for name in tasks.get("tasks", {}):
            valid = (*names, *grid.recipes) if section == "training" else names
            if name not in valid:
                yield f"{section}.tasks: no such task '{name}', {nearest(name, valid)}"


def _models(grid: Grid, names: Sequence[str], root: Path) -> Iterator[str]:
    for model in grid.models.values():
        for problem in _model_problems(model, root):
            yield f"models.{model.name}: {problem}"


def _model_problems(model: Model, root: Path) -> Iterator[str]:
    given = [key for key in ("hub", "path", "pretrain") if getattr(model, key) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        yield f"expected exactly one of hub, path and pretrain, found {found}"
        return
    if model.hub and not model.revision:
        yield f"revision: '{model.hub}' must be pinned to a commit of its repository; found none"
    if model.revision and not model.hub:
        yield "revision: only a hub model has one"
    if model.path and not (root / Path(model.path).expanduser() / "config.json").is_file():
        yield f"path: expected a model folder, found no {Path(model.path) / 'config.json'}"
    if model.pretrain:
        for problem in _architecture_problems(model.pretrain, model.retrieval_layer):
            yield f"pretrain.{problem}"


def _architecture_problems(pretrain: Mapping[str, Any], retrieval_layer: int | None) -> Iterator[str]:
    architecture = pretrain.get("architecture", {})
    hidden, heads = architecture.get("hidden_size"), architecture.get("num_attention_heads")
    if hidden and heads and hidden % heads:
        yield f"architecture: hidden_size {hidden} is not a multiple of num_attention_heads {heads}"
    kind, objective = architecture.get("model_type"), pretrain.get("objective", "masked")
    limit, length = position_limit(architecture), pretrain.get("sequence_length")
    if limit and length and length > limit:
        yield f"sequence_length: expected at most {limit}, what the architecture's positions allow; found {length}"
    if objective == "masked" and kind in _CAUSAL_TYPES:
        yield f"objective: '{kind}' reads from left to right; expected causal, found masked"
    layers = architecture.get("num_hidden_layers")
    if layers and retrieval_layer is not None and retrieval_layer > layers:
        yield f"architecture.num_hidden_layers: retrieval_layer {retrieval_layer} does not exist among {layers} layers"
    tokens = pretrain.get("tokens_per_step")
    if tokens and length and tokens < length:
        yield f"tokens_per_step: expected at least sequence_length {length}, found {tokens}"


_GRID_CHECKS = (_models, _intermediates, _recipes, _targets, _settings)


def remarks(grid: Grid) -> list[str]:
    """What is allowed but worth a sentence."""
    if NONE in grid.intermediates:
        return []
    return ["intermediates: 'none' is absent, so the tables show scores but no gains"]
