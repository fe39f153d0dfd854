"""A report about this machine: processors, memory, disk, GPUs, SLURM, rows, the hub, the fork server, versions."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from stiltgrid.data import adapters
from stiltgrid.data.sources.base import Source
from stiltgrid.grid.cards import TaskCard
from stiltgrid.grid.grid import Grid
from stiltgrid.utils.provenance import versions
from stiltgrid.workflow.doctor_hub import hub_findings, within
from stiltgrid.workflow.findings import GIGABYTE, Finding
from stiltgrid.workflow.fork_server import Ended, ForkServer
from stiltgrid.workflow.snakemake_patches import SWITCH

PLUGIN = "snakemake-executor-plugin-slurm"
PATIENCE = 10  # seconds for a command of the system
FORK_SECONDS = 60.0  # for a job that does nothing


def examine(grid: Grid, source: Source) -> list[Finding]:
    """All findings, in the order of the report. Imports no torch and reads no data; `doctor_hub` uses the network."""
    machine = [processors(), memory(), disk(Path.cwd()), gpus(), slurm(), fork_server()]
    return [*machine, rows(grid, source), *hub_findings(grid), software()]


def processors() -> Finding:
    """Processors that this process may use, of those that the machine has."""
    usable, all_of_them = len(os.sched_getaffinity(0)), os.cpu_count() or 0
    return Finding("processors", f"{usable} usable of {all_of_them}")


def memory(path: Path = Path("/proc/meminfo")) -> Finding:
    """Free and total memory."""
    if not path.is_file():
        return Finding("memory", "unknown on this system")
    values = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    total, free = (int(values[name].split()[0]) * 1024 / GIGABYTE for name in ("MemTotal", "MemAvailable"))
    return Finding("memory", f"{free:.1f} GB free of {total:.1f} GB", "" if free > 2 else "a job needs about 2 GB")


def disk(folder: Path) -> Finding:
    """Free space where the results will be."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    return Finding("disk", f"{free:.1f} GB free in {folder}", "see: snakemake --cores 1 estimate_disk")


def gpus() -> Finding:
    """GPUs that the driver lists."""
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


def fork_server(kind: str = "data") -> Finding:
    """Whether a job runs in a fork server, and the seconds of the first and of the second."""
    about = "fork server"
    if os.environ.get(SWITCH) == "0" or sys.platform != "linux":
        reason = f"{SWITCH}=0" if sys.platform == "linux" else f"not on {sys.platform}"
        return Finding(about, f"off ({reason})", "jobs start as plain processes, some seconds later")
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        script, out = Path(folder, "job.py"), Path(folder, "out")
        script.write_text(f"open({str(out)!r}, 'a').write('x')\n", encoding="utf-8")
        server = ForkServer(kind)
        for _ in range(2):
            started = time.monotonic()
            job = server.start_job(str(script), 1, {})
            ended = None if job is None else within(FORK_SECONDS, job.wait, None)
            status = ended.status if isinstance(ended, Ended) else None
            if status != 0:
                advice = f"jobs start as plain processes, some seconds later; {SWITCH}=0 does not try"
                return Finding(about, f"does not work (status {status})", advice)
            seconds.append(time.monotonic() - started)
        ran = out.read_text(encoding="utf-8")
    assert ran == "xx", ran
    return Finding(about, f"works: first job after {seconds[0]:.1f} s, then {seconds[1]:.2f} s")


def rows(grid: Grid, source: Source) -> Finding:
    """How many tasks of the catalogue the source has, and which of the experiment it lacks."""
    missing = missing_tasks(grid.cards, source)
    place = f"{grid.source}{f' in {grid.data_dir}' if grid.data_dir else ''}"
    asked = {*grid.targets, *(task for name in grid.targets for task in grid.cards[name].train)}
    asked |= {task for row in grid.intermediates for step in grid.chain(row) for task in grid.recipe(step).tasks}
    lacking = [name for name in missing if name in asked and not grid.cards[name].rows]
    found = f"{place}: {len(grid.cards) - len(missing)} tasks of the catalogue, {len(asked)} asked for"
    return Finding("rows", found, f"asked for and not there: {', '.join(lacking)}" if lacking else "")


def missing_tasks(cards: Mapping[str, TaskCard], source: Source) -> list[str]:
    """Tasks of which the source has no split in any language."""
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
    """Versions of the libraries that scores depend on."""
    return Finding("versions", ", ".join(f"{name} {version}" for name, version in versions().items()))


def _output(command: Sequence[str]) -> list[str] | None:
    """Lines of a command's output; None where it is not installed, empty where it fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in result.stdout.splitlines() if line.strip()] if result.returncode == 0 else []
