"""CCG supertagging from the user's own CCGbank (LDC2005T13), or from JSON Lines of tokens and supertags.

CCGbank's derivations are in {folder}/data/AUTO/{section}/*.auto (also {folder}/AUTO/… or {folder}/…). The
standard split trains on sections 02-21 and develops on 00 (`sections` in the card). A split's JSON Lines
file comes first where there is one.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stiltgrid.data.rows import RawRow
from stiltgrid.data.sources.base import Source
from stiltgrid.data.sources.local import split_names
from stiltgrid.data.sources.textfiles import read_lines
from stiltgrid.grid.cards import TaskCard
from stiltgrid.utils.errors import RowError, SourceError

SECTIONS = {"train": [f"{number:02d}" for number in range(2, 22)], "dev": ["00"], "test": ["23"]}
HOW_TO_GET = "CCGbank is licensed: get LDC2005T13 from the Linguistic Data Consortium"
# PTB writes brackets as words; the text that a backbone was pretrained on has the characters.
BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_LEAF = re.compile(r"\(<L (?P<category>\S+) \S+ \S+ (?P<word>\S+) \S+>\s*\)")
_NODE = re.compile(r"\(<T (?P<category>\S+) (?P<head>\d+) (?P<children>\d+)>")


def parse_derivation(line: str, place: str = "derivation") -> tuple[list[str], list[str]]:
    """Tokens and supertags (the leaves' categories, left to right) of one .auto derivation.

    Raises RowError when brackets do not match, a node has another number of children than it states, or there are
    no leaves.
    """
    tokens: list[str] = []
    tags: list[str] = []
    open_nodes: list[list[int]] = []  # [children promised, children seen]
    position, text = 0, line.strip()
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        if (tokens or tags) and not open_nodes:
            raise RowError(place, f"expected one derivation, found more after it: {text[position : position + 40]}")
        if match := _NODE.match(text, position):
            open_nodes.append([int(match["children"]), 0])
        elif match := _LEAF.match(text, position):
            tokens.append(BRACKETS.get(match["word"], match["word"]))
            tags.append(match["category"])
            if open_nodes:
                open_nodes[-1][1] += 1
        elif text[position] == ")" and open_nodes:
            promised, seen = open_nodes.pop()
            if promised != seen:
                raise RowError(place, f"a node states {promised} children, found {seen} before column {position + 1}")
            if open_nodes:
                open_nodes[-1][1] += 1
        else:
            raise RowError(
                place, f"expected a CCGbank node at column {position + 1}, found {text[position : position + 40]}"
            )
        position = match.end() if match else position + 1
    if open_nodes or not tokens:
        raise RowError(place, f"expected a complete derivation, found one with {len(open_nodes)} brackets still open")
    return tokens, tags


def section_files(folder: Path, sections: Sequence[str]) -> dict[str, list[Path]]:
    """The .auto files of each section, in order; {} where the folder has none of any section."""
    for root in (folder / "data" / "AUTO", folder / "AUTO", folder):
        found = {section: sorted((root / section).glob("*.auto")) for section in sections}
        if any(found.values()):
            return found
    return {}


def _derivation_files(card: TaskCard, split: str, language: str, source: Source) -> dict[str, list[Path]]:
    folder = source.folder(card)
    if folder is None or language != "en":
        return {}
    return section_files(folder, ((card.local or {}).get("sections") or SECTIONS).get(split, []))


def has(card: TaskCard, split: str, language: str, source: Source, training: bool) -> bool:
    """Whether rows or derivations of the split are there."""
    return source.has(card, split, language) or bool(_derivation_files(card, split, language, source))


def files(card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[str]:
    """The rows' files, or the derivations'."""
    sections = _derivation_files(card, split, language, source).values()
    return source.files(card, split, language) or [str(path) for paths in sections for path in paths]


def missing(card: TaskCard, split: str, language: str, source: Source, training: bool) -> list[str]:
    """Where to get the corpus and where to put it, or which sections of it are missing."""
    if source.has(card, split, language):
        return source.missing(card, split, language)
    folder = source.folder(card) or Path("{data_dir}") / (card.local or {}).get("folder", card.name)
    sections = _derivation_files(card, split, language, source)
    if sections:
        absent = [section for section, paths in sections.items() if not paths]
        there = ", ".join(section for section, paths in sections.items() if paths)
        problem = f"{folder} has only part of the {split} sections: {', '.join(absent)} missing, {there} found"
        return [f"{problem}; copy the whole corpus, or name the sections to use in the card's `local` section"] * bool(
            absent
        )
    names = split_names(card.local, split) or [split]
    looked = f"looked for {folder}/{names[0]}.{language}.jsonl and {folder}/data/AUTO/*/*.auto"
    return [f"{getattr(card, 'obtain', None) or HOW_TO_GET}; {looked}"]


def rows(card: TaskCard, split: str, language: str, source: Source, training: bool) -> Iterator[RawRow]:
    """Rows of tokens and tags, from JSON Lines if there are any, else from derivations."""
    if source.has(card, split, language):
        return source.read(card, split, language)
    problems = missing(card, split, language, source, training)
    if problems:
        raise SourceError(f"task '{card.name}': {problems[0]}")
    sections = _derivation_files(card, split, language, source).values()
    return _derivations([path for paths in sections for path in paths])


def _derivations(paths: list[Path]) -> Iterator[RawRow]:
    for path in paths:
        shown = f"{path.parent.name}/{path.name}"
        found, name = False, ""
        for number, line in read_lines(path, shown):
            if line.startswith("ID="):
                name = line.split()[0].removeprefix("ID=")
                continue
            place = f"{shown} line {number}"
            tokens, tags = parse_derivation(line, place)
            found = True
            yield RawRow({"id": name or place, "tokens": tokens, "tags": tags}, place)
        if not found:
            raise SourceError(f"{shown}: expected CCGbank derivations, found none")
