"""The jobs of a grid as Snakemake itself counts them: a dry run in a process of its own, which touches nothing."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stiltgrid.utils.errors import StiltgridError

BLOCK = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", re.MULTILINE)
FIELD = re.compile(r"^    (input|wildcards): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class PlannedJob:
    """A job that a run would take."""

    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...]


def planned_jobs(snakefile: Path, configfiles: Sequence[str], settings: Mapping[str, Any]) -> list[PlannedJob]:
    """Every job of the configured grid, whether its files are there or not, `all` aside.

    `configfiles` and `settings` are what the command line laid over the default configuration. StiltgridError with
    Snakemake's last lines when it finds something wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(file).resolve()) for file in configfiles]
        if settings:
            overlay = Path(folder, "settings.json")
            overlay.write_text(json.dumps(dict(settings)), encoding="utf-8")
            files.append(str(overlay))
        command = [
            *(sys.executable, "-m", "snakemake", "--cores", "1", "--nocolor", "--nolock"),
            *("--dry-run", "--forceall", "--snakefile", str(snakefile)),
            *(("--configfile", *files) if files else ()),
        ]
        done = subprocess.run(
            command, text=True, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )  # fmt: skip
    if done.returncode:
        raise StiltgridError(f"the grid cannot be planned:\n{done.stdout[-3000:]}")
    return read_jobs(done.stdout)


def read_jobs(text: str) -> list[PlannedJob]:
    """The jobs that a dry run names."""
    found = []
    for rule, block in BLOCK.findall(text):
        fields = dict(FIELD.findall(block))
        pairs = (pair.split("=", 1) for pair in fields.get("wildcards", "").split(", ") if pair)
        inputs = tuple(name for name in fields.get("input", "").split(", ") if name)
        if rule != "all":
            found.append(PlannedJob(rule, {key: value for key, value in pairs}, inputs))
    return found
