"""What this workflow adds to Snakemake's own time: dry run of a large grid, rerun of a finished one.

    python benchmarks/orchestration.py [--seeds 42] [--configfile presets/local_mirror.yaml]

Both times stand beside those of a bare Snakefile with the same jobs and files: the same rules, output patterns and
inputs (one table, one input function a rule), without parameters, resources, logs, environments or a configuration.
CPU seconds of the whole process, its start included. Nothing is computed: outputs are empty files, recorded as
finished by `snakemake --touch`. 42 seeds of the default grid are 10,207 jobs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BARE = '''"""The same jobs as another workflow's, and nothing else."""

import json

with open("dag.json") as file:
    GIVEN = json.load(file)
GIVEN_INPUTS = {name: {tuple(key): files for key, files in rule["jobs"]} for name, rule in GIVEN["rules"].items()}


def given_inputs(name, names):
    return lambda wildcards: GIVEN_INPUTS[name][tuple(wildcards[each] for each in names)]


wildcard_constraints:
    **GIVEN["constraints"],


rule everything:
    default_target: True
    input:
        GIVEN["targets"],
'''
RULE = """

rule {name}:
    input:
        given_inputs("{name}", {wildcards!r}),
    output:
        {outputs},
    wildcard_constraints:
        **{constraints!r},
    script:
        "nothing.py"
"""


class Cost(NamedTuple):
    """Of one process with its children."""

    wall: float
    cpu: float


def read_dag(folder: Path, configfiles: Sequence[Path]) -> dict[str, Any]:
    """Rules with their output patterns, and of every job its wildcards and inputs."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=2),
            config_settings=ConfigSettings(configfiles=list(configfiles)),
            snakefile=ROOT / "Snakefile",
            workdir=folder,
        )
        workflow.dag().execute_workflow(executor="dryrun")
        jobs = list(workflow._workflow.dag.jobs)
        rules: dict[str, Any] = {}
        for job in jobs:
            if job.rule.name == "all":
                continue
            rule = rules.setdefault(job.rule.name, {"outputs": [str(path) for path in job.rule.output], "jobs": []})
            rule["wildcards"] = sorted(job.wildcards_dict)
            own = job.rule.wildcard_constraints
            rule["constraints"] = {name: own[name] for name in rule["wildcards"] if name in own}
            key = [job.wildcards_dict[name] for name in rule["wildcards"]]
            rule["jobs"].append([key, [str(path) for path in job.input]])
            rule.setdefault("files", []).extend(str(path) for path in job.output)
        (target,) = [job for job in jobs if job.rule.name == "all"]
        return {"rules": rules, "targets": [str(path) for path in target.input], "constraints": {}}


def write_bare(dag: dict[str, Any], folder: Path) -> None:
    """A Snakefile with the jobs of a DAG."""
    folder.mkdir()
    (folder / "dag.json").write_text(json.dumps(dag), encoding="utf-8")
    (folder / "nothing.py").write_text("", encoding="utf-8")
    parts = [
        RULE.format(
            name=name,
            wildcards=rule["wildcards"],
            outputs=",\n        ".join(map(repr, rule["outputs"])),
            constraints=rule["constraints"],
        )
        for name, rule in dag["rules"].items()
    ]
    (folder / "Snakefile").write_text(BARE + "".join(parts), encoding="utf-8")


def cost(command: Sequence[str], folder: Path) -> tuple[Cost, str]:
    """Run a command in a folder; what it took and what it said. SystemExit with its last lines when it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, cwd=folder, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )  # fmt: skip
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-3000:]}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done.stdout


def make_files(dag: dict[str, Any], folder: Path) -> None:
    """Every output as an empty file."""
    for rule in dag["rules"].values():
        for name in rule["files"]:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def measure(title: str, ours: Sequence[str], bare: Sequence[str], folders: Sequence[Path], repeats: int) -> str:
    """A line of the table: both sides in turns, the best of each."""
    sides: list[list[Cost]] = [[], []]
    for _ in range(repeats):
        for found, command, folder in zip(sides, (ours, bare), folders, strict=True):
            found.append(cost(command, folder)[0])
    best = [min(each.cpu for each in found) for found in sides]
    walls = [min(each.wall for each in found) for found in sides]
    cells = (*(f"{value:.2f}" for value in (*best, *walls)), f"{best[0] / best[1]:.2f}")
    return f"| {title} | " + " | ".join(cells) + " |"


def snakemake(*arguments: object) -> list[str]:
    """A call of Snakemake."""
    return [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)]


def lines(folder: Path, configfiles: Sequence[Path], title: str, repeats: int, finish: bool) -> Iterable[str]:
    """The dry run of a grid that has nothing yet; with `finish`, a run of it when everything is there."""
    own, bare = folder / "own", folder / "bare"
    own.mkdir(parents=True)
    given = folder / "dag.json"
    cost([sys.executable, __file__, "--dag", str(given), "--configfile", *map(str, configfiles)], own)
    dag = json.loads(given.read_text(encoding="utf-8"))
    write_bare(dag, bare)
    jobs = sum(len(rule["jobs"]) for rule in dag["rules"].values()) + 1
    profile = ("--workflow-profile", ROOT / "profiles/default")
    ours = snakemake("--snakefile", ROOT / "Snakefile", "--configfile", *configfiles)
    plain = snakemake(*profile)
    yield measure(f"{title}: dry run, {jobs:,} jobs", [*ours, "-n"], [*plain, "-n"], (own, bare), repeats)
    if finish:
        for command, place in ((ours, own), (plain, bare)):
            make_files(dag, place)
            cost([*command, "--touch"], place)
            said = cost([*command, "-n"], place)[1]
            if "Nothing to be done" not in said:
                raise SystemExit(f"{place}: not finished\n{said[-2000:]}")
        yield measure(f"{title}: nothing to be done, {jobs:,} jobs", ours, plain, (own, bare), repeats)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, nargs="+", default=[ROOT / "config.yaml"])
    parser.add_argument("--part", choices=("finished", "large", "both"), default="both")
    parser.add_argument("--seeds", type=int, default=42, help="of the large grid")
    parser.add_argument("--repeats", type=int, default=3, help="of the finished grid")
    parser.add_argument("--dag", type=Path, help="write the grid's jobs to this file and measure nothing")
    options = parser.parse_args()
    configfiles = [path.resolve() for path in options.configfile]
    if options.dag:
        options.dag.write_text(json.dumps(read_dag(Path.cwd(), configfiles)), encoding="utf-8")
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    title, write = configfiles[-1].stem, sys.stdout.write
    write("| grid | CPU s | bare CPU s | wall s | bare wall s | CPU ratio |\n|---|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as name:
        if options.part != "large":
            for line in lines(Path(name) / "plain", configfiles, title, options.repeats, True):
                write(line + "\n")
                sys.stdout.flush()
        if options.part != "finished":
            seeds = Path(name) / "seeds.yaml"
            seeds.write_text(json.dumps({"seeds": list(range(1, options.seeds + 1))}), encoding="utf-8")
            for line in lines(Path(name) / "large", [*configfiles, seeds], f"{title}, {options.seeds} seeds", 2, False):
                write(line + "\n")


if __name__ == "__main__":
    main()
