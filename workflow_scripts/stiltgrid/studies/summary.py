"""A study's last page: findings in plain words with effect, interval and n, and what its design cannot tell."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stiltgrid.analysis.tables import AnyPath
from stiltgrid.utils.files import atomic_path

WIDTH = 100
SYNTHETIC = (
    "The data is synthetic (mini-lab): made languages and texts. What is found here shows how the study works and "
    "says nothing about real languages."
)


@dataclass(frozen=True)
class Finding:
    """One sentence with its number: `effect` in `unit`, its 95 % interval (None where none can be had), `n` of what.

    `n` is text, such as "48 rows (12 task sets × 2 volumes × 2 seeds)".
    """

    sentence: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    n: str = ""

    def text(self) -> str:
        """The finding as a line of prose: the sentence, then its numbers."""
        parts = []
        if self.effect is not None:
            parts.append(f"Effect {signed(self.effect)} {self.unit}".rstrip())
        if self.low is not None and self.high is not None:
            parts.append(f"95 % interval {signed(self.low)} to {signed(self.high)}")
        elif self.effect is not None:
            parts.append("no interval")
        if self.n:
            parts.append(f"n = {self.n}")
        return self.sentence + (f" {'; '.join(parts)}." if parts else "")


def signed(value: float) -> str:
    """Two decimals with a sign, a true minus, and no negative zero."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "\u2212")


def summary_text(
    title: str,
    question: str,
    findings: Iterable[Finding],
    limits: Iterable[str],
    files: Mapping[str, str],
    synthetic: bool,
) -> str:
    """The summary as Markdown; `limits` are what the design cannot tell, `files` what to open for more."""
    lines = [f"# {title}", "", *_wrapped(question), ""]
    if synthetic:
        lines += [*_wrapped(f"**{SYNTHETIC}**"), ""]
    lines += ["## What was found", "", *(line for finding in findings for line in _item(finding.text())), ""]
    lines += ["## What this design cannot tell", "", *(line for limit in limits for line in _item(limit)), ""]
    lines += ["## Where the numbers are", "", *(f"- {what}: `{path}`" for what, path in files.items())]
    return "\n".join(lines) + "\n"


def write_summary(text: str, out: AnyPath) -> None:
    """Write a summary, atomically."""
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="- ", subsequent_indent="  ")
