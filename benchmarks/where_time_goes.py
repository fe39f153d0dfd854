"""Where a finished run's time went, rule by rule, and what start-up costs with and without fork servers.

    snakemake --cores 2 && python benchmarks/where_time_goes.py

The first table adds up what the jobs wrote into logs/ and sets it against Snakemake's own elapsed time; jobs that ran
as plain processes count their interpreter and imports, forked jobs do not. The second measures, here and now, the
CPU seconds of a bare interpreter, of each library, and of a job that a fork server runs.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from stiltgrid.workflow.fork_server import PRELOAD, ForkServer  # noqa: E402

ACCOUNT = re.compile(r"stiltgrid\.account: (\w+) took ([\d.]+) s, ([\d.]+) CPU s, (\d+) MB")
ELAPSED = re.compile(r"Elapsed time: (\d+):(\d+):([\d.]+)")
STEPS = re.compile(r"^\d+ of (\d+) steps \(100%\) done", re.MULTILINE)
LIBRARIES = {
    "nothing": "pass",
    "Snakemake's preamble": "import snakemake.iocontainers, snakemake.logging",
    "pyarrow and pandas": "import pyarrow.parquet, pandas",
    "matplotlib": "import matplotlib.figure, matplotlib.backends.backend_svg",
    "torch": "import torch",
    "transformers' XLM-R": "import transformers.models.xlm_roberta.modeling_xlm_roberta",
}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(field) for field in line) + " |" for line in lines)


def by_rule(logs: Path) -> dict[str, list[tuple[float, float, int]]]:
    """Rule -> (seconds, CPU seconds, peak megabytes) of each of its jobs."""
    found: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for path in sorted(logs.rglob("*.log")):
        for rule, seconds, cpu, peak in ACCOUNT.findall(path.read_text(encoding="utf-8", errors="replace")):
            found[rule].append((float(seconds), float(cpu), int(peak)))
    return found


def last_run(folder: Path) -> tuple[float, int] | None:
    """(elapsed seconds, jobs) of the newest run that finished something."""
    for path in sorted(folder.glob("*.snakemake.log"), reverse=True):
        text = path.read_text(encoding="utf-8", errors="replace")
        elapsed, steps = ELAPSED.search(text), STEPS.search(text)
        if elapsed and steps:
            hours, minutes, seconds = elapsed.groups()
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds), int(steps[1])
    return None


def report_run(folder: Path, cores: int) -> str:
    """The first table."""
    rules = by_rule(folder / "logs")
    rows = []
    for rule, jobs in sorted(rules.items(), key=lambda item: -sum(job[1] for job in item[1])):
        seconds, cpu, peaks = zip(*jobs, strict=True)
        rows.append((rule, len(jobs), f"{sum(seconds):.1f}", f"{sum(cpu):.1f}", max(peaks)))
    total = sum(job[1] for jobs in rules.values() for job in jobs)
    lines = [
        table(["rule", "jobs", "seconds", "CPU seconds", "peak MB"], rows),
        "",
        f"CPU seconds of all jobs: {total:.1f}",
    ]
    run = last_run(folder / ".snakemake/log")
    if run:
        elapsed, jobs = run
        lines.append(
            f"Elapsed, newest run: {elapsed:.1f} s for {jobs} jobs; the jobs' share of {cores} cores: "
            f"{100 * total / (cores * elapsed):.0f} % (of a whole run)"
        )
    return "\n".join(lines)


def cpu_of(code: str) -> float:
    """CPU seconds of a fresh interpreter that runs some code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def report_start_up(repeats: int) -> str:
    """The second table."""
    rows = [
        (f"interpreter with {name}", f"{min(cpu_of(code) for _ in range(repeats)):.3f}")
        for name, code in LIBRARIES.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "job.py"
        script.write_text("import resource, sys\n", encoding="utf-8")
        for kind in PRELOAD:
            server = ForkServer(kind)
            seconds = []
            for _ in range(repeats + 1):
                started = time.monotonic()
                job = server.start_job(str(script), 1, {})
                ended = None if job is None else job.wait()
                if ended is None or ended.status:
                    raise SystemExit(f"the fork server '{kind}' does not work here")
                seconds.append(time.monotonic() - started)
            rows.append(
                (f"job of the fork server '{kind}', wall seconds (first: {seconds[0]:.1f})", f"{min(seconds[1:]):.3f}")
            )
    return table(["start-up", "CPU seconds"], rows)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the run was (default: here)")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    sys.stdout.write(report_run(options.folder, options.cores) + "\n\n" + report_start_up(options.repeats) + "\n")


if __name__ == "__main__":
    main()
