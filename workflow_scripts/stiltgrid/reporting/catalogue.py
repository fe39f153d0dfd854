"""The page docs/catalogue.md: every card's family, languages, origin and licence, and the benchmarks, from their files.

`make catalogue` writes it; a test fails where it is not what the cards say.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stiltgrid.data.sources.hub import CONVERTED
from stiltgrid.grid.benchmarks import ROOT, benchmark_files
from stiltgrid.utils.files import atomic_path
from stiltgrid.utils.strict_yaml import read_yaml

PAGE = ROOT / "docs/catalogue.md"
HEAD = """# Catalogue

Made from the cards in `tasks/` by `make catalogue`; change a card, not this page.

`rows` says where `source: hub` reads them, and at which commit. *(not read)* marks what nobody read in the repository
or in a program that reads it: names of configurations or columns may differ, and the first job that reads it says so.
A branch in place of a commit may move; every job records the commit that it resolved. A licence is what the publisher
states, *not read* where no source was read: look it up before you publish or redistribute.
"""
BENCHMARKS = """
## Benchmarks

A benchmark is a file in `tasks/benchmarks/`; `benchmarks` in a card lists the languages that count. Its averages are in
`results/tables/official.tsv`.
"""


def write_catalogue(path: Path = PAGE) -> None:
    """Write the page."""
    with atomic_path(path) as temporary:
        temporary.write_text(page(), encoding="utf-8")


def page(root: Path = ROOT) -> str:
    """The page's text."""
    cards = {path.stem: read_yaml(path) for path in sorted((root / "tasks").glob("*.yaml"))}
    order = sorted(cards, key=lambda name: (cards[name]["family"], name))
    columns = ("task", "family", "languages", "about", "rows", "licence")
    tasks = _table(columns, (_task_row(name, cards[name]) for name in order))
    notes = "".join(f"\n- `{name}`: {note}" for name in order for note in _notes(cards[name]))
    made = _table(
        ("benchmark", "tasks", "average", "preset"),
        (_benchmark_row(name, content) for name, content in benchmark_files(root).items()),
    )
    return f"{HEAD}\n{tasks}\n### Remarks of the cards\n{notes}\n{BENCHMARKS}\n{made}"


def _table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _task_row(name: str, card: Mapping[str, Any]) -> tuple[str, ...]:
    licence = card.get("licence", "*not read*")
    return f"`{name}`", card["family"], str(len(card["languages"])), card["about"], _rows(card), licence


def _rows(card: Mapping[str, Any]) -> str:
    origins = dict.fromkeys(origin for names in card.get("rows", {}).values() for origin in names)
    parts = [f"those of {', '.join(f'`{name}`' for name in origins)}"] if origins else []
    hub = card.get("hub")
    parts += [_repository({**hub, **part}) for part in (hub, *hub.get("overrides", ()))] if hub else []
    return "<br>".join(dict.fromkeys(parts)) or "your `data_dir`"


def _repository(section: Mapping[str, Any]) -> str:
    revision = section["revision"]
    commit = len(revision) == 40
    shown = revision[:8] if commit else "converted branch" if revision == CONVERTED else f"branch {revision}"
    link = f"[{section['path']}](https://huggingface.co/datasets/{section['path']}/tree/{revision.replace('/', '%2F')})"
    return f"{link} {shown}{'' if section['verified'] else ' *(not read)*'}"


def _notes(card: Mapping[str, Any]) -> Iterator[str]:
    hub = card.get("hub", {})
    found = [hub.get("note"), *(part.get("note") for part in hub.get("overrides", ())), card.get("obtain")]
    yield from dict.fromkeys(" ".join(note.split()) for note in found if note)


def _benchmark_row(name: str, content: Mapping[str, Any]) -> tuple[str, ...]:
    groups = "<br>".join(f"{group}: {', '.join(members)}" for group, members in content["groups"].items())
    kind = "official, by its `evaluate.py`" if content["average"] == "official" else "our own"
    return f"`{name}` ({content['title']})", groups, f"{kind}; mean of {content['overall']}", f"`{content['preset']}`"


if __name__ == "__main__":
    write_catalogue()
