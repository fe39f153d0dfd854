"""The lines of the report about a machine."""

from collections.abc import Sequence
from dataclasses import dataclass

GIGABYTE = 10**9


@dataclass(frozen=True)
class Finding:
    """One line of the report: the subject, what was found, and advice where that may not be enough."""

    about: str
    found: str
    advice: str = ""


def screen(findings: Sequence[Finding]) -> str:
    """The findings as text, each with its advice below."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.about:<14}{finding.found}")
        if finding.advice:
            lines.append(f"{'':<14}-> {finding.advice}")
    return "\n".join(lines) + "\n"
