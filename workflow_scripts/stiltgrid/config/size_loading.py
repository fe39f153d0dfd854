"""Reads the sizes that cards carry for estimates. Only `estimate` reads them, never a job or its params."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.config.loading import checked_sections
from stiltgrid.config.overlays import merge
from stiltgrid.grid.card_sizes import CardSizes
from stiltgrid.utils.strict_yaml import read_yaml

# What decides which rows a card reads, besides its section of the source. Sizes of the card do not hold after a change.
PLACES = ("rows", "adapter", "drop_labels")
PURPOSES = ("train", "eval")


def read_sizes(config: Mapping[str, Any], root: Path, files: Iterable[str | Path] = ()) -> dict[str, CardSizes]:
    """Sizes by task, for a configuration that `load_grid` accepts, with the same arguments.

    A card whose rows the configuration takes from elsewhere (its section of the source, `rows`, `adapter` or
    `drop_labels`) has none, unless the configuration gives `sizes` for the task too.
    """
    sections = checked_sections(config, Path(root), files)
    overlays, kind = sections.get("tasks", {}), sections.get("source", "")
    found = {}
    for path in sorted(Path(root, "tasks").glob("*.yaml")):
        card, overlay = read_yaml(path), overlays.get(path.stem, {})
        if overlay.keys() & {kind, *PLACES}:
            card.pop("sizes", None)
        section = merge(card, overlay).get("sizes")
        if section is not None:
            found[path.stem] = card_sizes(path.stem, section)
    return found


def card_sizes(task: str, section: Mapping[str, Any]) -> CardSizes:
    """The `sizes` section of a card, valid by the schema."""
    tokens = section["tokens"]
    if not isinstance(tokens, Mapping):
        tokens = dict.fromkeys(PURPOSES, tokens)
    rows = {split: section[split] for split in ("train", "dev", "test") if split in section}
    return CardSizes(task, rows, tokens, section["source"])
