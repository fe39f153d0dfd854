"""What this machine has for a grid, in one screen: processors, memory, GPUs, SLURM, the mirror, versions."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from stiltgrid.data import adapters
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.utils.provenance import versions

GIGABYTE = 10**9
PLUGIN = "snakemake-executor-plugin-slurm"
PATIENCE = 10  # seconds for a command of the system


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what to do where that is not enough."""

    about: str
    found: str
    advice: str = ""


def examine(grid: Grid, source: Source) -> list[Finding]:
    """Everything, in the order of the screen. Imports no torch, reads no data, reaches no network."""
    return [processors(), memory(), disk(Path.cwd()), gpus(), slurm(), rows(grid, source), software()]


def processors() -> Finding:
    """Processors that this process may use, and how many the machine has."""
    usable, all_of_them = len(os.sched_getaffinity(0)), os.cpu_count() or 0
    return Finding("processors", f"{usable} usable of {all_of_them}")


def memory(path: Path = Path("/proc/meminfo")) -> Finding:
    """Memory in total and free."""
    if not path.is_file():
        return Finding("memory", "not told by this system")
    values = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    total, free = (int(values[name].split()[0]) * 1024 / GIGABYTE for name in ("MemTotal", "MemAvailable"))
    return Finding("memory", f"{free:.1f} GB free of {total:.1f} GB", "" if free > 2 else "a job needs about 2 GB")


def disk(folder: Path) -> Finding:
    """Room where the results will be."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    return Finding("disk", f"{free:.1f} GB free in {folder}", "see: snakemake --cores 1 estimate_disk")


def gpus() -> Finding:
    """GPUs as the driver tells them."""
    lines = _output(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    if not lines:
        return Finding("GPUs", "none", "large models need one; the mini-lab does not")
    advice = f"several: --resources gpu={len(lines)} gives each job its own" if len(lines) > 1 else ""
    return Finding("GPUs", "; ".join(lines), advice)


def slurm() -> Finding:
    """Partitions of a SLURM cluster, and whether Snakemake can use it."""
    lines = _output(["sinfo", "--noheader", "--format=%P %a %l %D nodes %G"])
    if lines is None:
        return Finding("SLURM", "none")
    try:
        plugin, advice = f", plugin {metadata.version(PLUGIN)}", "run: snakemake --profile profiles/slurm"
    except metadata.PackageNotFoundError:
        plugin, advice = "", f"to use it: pip install {PLUGIN}"
    found = "; ".join(" ".join(line.split()) for line in lines) or "no partition answers"
    return Finding("SLURM", found + plugin, advice)


def rows(grid: Grid, source: Source) -> Finding:
    """Tasks of the catalogue that the source has and has not."""
    missing = missing_tasks(grid.cards, source)
    found = f"{grid.source}{f' in {grid.data_dir}' if grid.data_dir else ''}: {len(grid.cards) - len(missing)} tasks"
    return Finding("rows", found, f"not there: {', '.join(missing)}" if missing else "")


def missing_tasks(cards: Mapping[str, TaskCard], source: Source) -> list[str]:
    """Names of tasks without a single split in a single language at the source."""
    missing = []
    for name, card in sorted(cards.items()):
        languages = dict.fromkeys((*card.train_languages, *card.languages))
        there = any(
            adapters.has_rows(card, split, code, source, training, cards)
            for split, training in (("train", True), ("dev", False), ("test", False))
            for code in languages
        )
        if not there:
            missing.append(name)
    return missing


def software() -> Finding:
    """Versions of what numbers depend on."""
    return Finding("versions", ", ".join(f"{name} {version}" for name, version in versions().items()))


def screen(findings: Sequence[Finding]) -> str:
    """The findings as text, advice below what it is about."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.about:<12}{finding.found}")
        if finding.advice:
            lines.append(f"{'':<12}-> {finding.advice}")
    return "\n".join(lines) + "\n"


def _output(command: Sequence[str]) -> list[str] | None:
    """Lines of a command's output; None where it is not installed, [] where it fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in result.stdout.splitlines() if line.strip()] if result.returncode == 0 else []
