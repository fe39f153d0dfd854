"""The repository's pages: their blocks of code, commands and links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    page.relative_to(ROOT).as_posix()
    for page in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    )
)
LANGUAGES = ("sh", "yaml", "json", "python")
# An inline `span` that begins with one of these is a command, as if it stood in a block.
PROGRAMS = ("snakemake", "make", "python", "pip", "bash", "apt-get", "git", "pre-commit")
FENCE = re.compile(r"^```(\S*)\s*$")
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the number of its first line, its language and its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that a block is the content of, as its first line says: `# tasks/reviews.yaml`."""
        match = re.match(r"# (\S+\.yaml)\n", self.text)
        return match[1] if match else None


@dataclass(frozen=True)
class Command:
    """One command of a page, in words."""

    place: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place}: {shlex.join(self.words)}"


def page_text(page: str) -> str:
    """A page by its path in the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page; ValueError for one that does not end."""
    found, start, language, lines = [], 0, "", list[str]()
    for number, line in enumerate(page_text(page).splitlines(), 1):
        fence = FENCE.match(line)
        if fence and start:
            found.append(Block(page, start, language, "".join(f"{text}\n" for text in lines)))
            start, lines = 0, []
        elif fence:
            start, language = number + 1, fence[1]
        elif start:
            lines.append(line)
    if start:
        raise ValueError(f"{page}: the block of line {start} does not end")
    return found


def prose(page: str) -> str:
    """A page without its blocks; their lines are empty."""
    kept, inside = [], False
    for line in page_text(page).splitlines():
        fence = FENCE.match(line) is not None
        kept.append("" if fence or inside else line)
        inside = inside != fence
    return "\n".join(kept)


def commands(page: str) -> Iterator[Command]:
    """Every command of a page: the lines of its `sh` blocks, and inline spans that begin with a program's name."""
    for block in blocks(page):
        if block.language == "sh":
            for number, line in enumerate(block.text.splitlines(), block.line):
                yield from split(f"{page}:{number}", line)
    for number, line in enumerate(prose(page).splitlines(), 1):
        for span in SPAN.findall(line):
            if span.split()[0] in PROGRAMS and not span.endswith("="):
                yield from split(f"{page}:{number}", span)


def split(place: str, line: str) -> Iterator[Command]:
    """The commands of a line: without its comment, and apart where `&&` or `;` joins them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&;")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "&&"]:
        if set(word) <= {"&", ";"}:
            if words:
                yield Command(place, tuple(words))
            words = []
        else:
            words.append(word)


def links(page: str) -> Iterator[str]:
    """Targets of a page's links and pictures, as they are written."""
    yield from LINK.findall(prose(page))


def anchors(page: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
