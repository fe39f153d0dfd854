"""The summary of a study: its question, a one-sentence answer, findings with their numbers, limits, files."""

import textwrap
from collections.abc import Mapping
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
    """One sentence with its number: `effect` in `unit`, its 95 % interval (None without one), and `n` as text.

    `n` names the units, such as "48 rows (12 task sets × 2 volumes × 2 seeds)".
    """

    sentence: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    n: str = ""

    def text(self) -> str:
        """The finding as prose: the sentence, then its numbers."""
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


@dataclass(frozen=True)
class Summary:
    """A study's summary. `limits` are what the design cannot show, `files` maps what they hold to paths."""

    title: str
    question: str
    design: str
    answers: tuple[str, ...]
    findings: tuple[Finding, ...]
    limits: tuple[str, ...]
    files: Mapping[str, str]
    synthetic: bool

    def text(self) -> str:
        """The summary as Markdown."""
        lines = [f"# {self.title}", "", *_wrapped(f"**{self.question}**"), ""]
        for answer in self.answers:
            lines += [*_wrapped(answer), ""]
        if self.synthetic:
            lines += [*_wrapped(f"**{SYNTHETIC}**"), ""]
        lines += ["## Design", "", *_wrapped(self.design), ""]
        lines += ["## Findings", "", *(line for finding in self.findings for line in _item(finding.text())), ""]
        lines += ["## What this design cannot show", "", *(line for limit in self.limits for line in _item(limit)), ""]
        lines += ["## Files", "", *(f"- {what}: `{path}`" for what, path in self.files.items())]
        return "\n".join(lines) + "\n"


def write_summary(summary: Summary, out: AnyPath) -> None:
    """Write a summary, atomically."""
    with atomic_path(out) as temporary:
        temporary.write_text(summary.text(), encoding="utf-8")


def target_limit(examples: int) -> str:
    """What a limit of the targets' training data means for the findings."""
    return (
        f"Targets were trained on {examples:,} examples at most: more target data leaves less for an intermediate task "
        "to add, so effects on fully trained targets are smaller."
    )


def signed(value: float) -> str:
    """Two decimals with a sign, a true minus, and no negative zero."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "\u2212")


def digits(number: float | None) -> str | None:
    """Three significant digits: four decimals would hide how small a p-value is."""
    return None if number is None else f"{number:.3g}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="- ", subsequent_indent="  ")
