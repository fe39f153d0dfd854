"""A copy of the repository with a small grid on the fixtures, and what Snakemake would run in it."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "Snakefile",
    "rules",
    "workflow_scripts",
    "tasks",
    "schemas",
    "profiles",
    "report",
    "envs",
    "tests/data/mirror",
)
GRID: Mapping[str, Any] = {
    "source": "local",
    "data_dir": "tests/data/mirror",
    "models": {
        "tiny": {
            "pretrain": {
                "languages": ["en", "de"],
                "tokenizer": {"algorithm": "bpe", "vocabulary": 300, "pre_tokenizer": "metaspace"},
                "architecture": {
                    "model_type": "xlm-roberta", "hidden_size": 32, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "intermediate_size": 64,
                },
                "sequence_length": 128,
                "steps": 2,
                "tokens_per_step": 256,
            },
        },
    },
    "intermediates": ["none", "mnli", "squad_v1"],
    "targets": ["xnli", "xquad", "mlqa", "tatoeba"],
    "seeds": [1],
    "tasks": {
        "xnli": {"languages": ["en", "de"]},
        "xquad": {"languages": ["en", "de"]},
        "mlqa": {"languages": ["en", "de"]},
        "tatoeba": {"languages": ["de"]},
    },
    "training": {"all": {"max_steps": 2, "batch_size": 4}},
}  # fmt: skip
AFTERWARDS = Counter([
    "collect_scores", "compare_rows", "plot_transfer_matrix", "plot_english_and_zero_shot", "summarise",
    "test_gains", "select_rows", "average_benchmarks", "compare_languages", "compare_published", "plot_published",
    "make_page", "write_latex",
])  # fmt: skip
FIRST = AFTERWARDS + Counter(describe_tables=1)  # of a first run: the page on the tables' columns changes with none
BLOCK = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """A job that Snakemake ran or would run."""

    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...] = ()


class Repository:
    """A copy of the repository with its own small grid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first: list[Job] = []
        folder.mkdir(exist_ok=True)
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (ROOT / part).is_file():
                shutil.copy2(ROOT / part, folder / part)
        self.configure(GRID)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the configuration."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(dict(config)), encoding="utf-8")

    def snakemake(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 1800
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake, for `timeout` seconds at most; the output holds both streams."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", *arguments],
            cwd=self.folder, env={**os.environ, **(env or {})}, text=True, check=False, timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 1800) -> list[Job]:
        """Run the grid to its end; the jobs that it took."""
        result = self.snakemake(*arguments, env=env, timeout=timeout)
        assert result.returncode == 0, result.stdout[-5000:]
        return jobs(result.stdout if "--dry-run" in arguments else self.last_log())

    def last_log(self) -> str:
        """Snakemake's log file of the last run, which has a block for each job."""
        logs = sorted((self.folder / ".snakemake/log").glob("*.snakemake.log"))
        return logs[-1].read_text(encoding="utf-8")

    def pending(self, *arguments: str) -> list[Job]:
        """The jobs that a run would take now."""
        return self.run("--dry-run", *arguments)

    @contextlib.contextmanager
    def edited(self, name: str, old: str, new: str) -> Iterator[None]:
        """The same repository with a change in one file."""
        path = self.folder / name
        before, times = path.read_text(encoding="utf-8"), path.stat()
        assert old in before, f"{name} holds no '{old}'"
        path.write_text(before.replace(old, new, 1), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    @contextlib.contextmanager
    def configured(self, **changes: Any) -> Iterator[None]:
        """The same repository with some of the configuration's keys replaced."""
        self.configure({**GRID, **changes})
        try:
            yield
        finally:
            self.configure(GRID)


def jobs(output: str) -> list[Job]:
    """Jobs named in Snakemake's output, `all` aside."""
    found = []
    for rule, block in BLOCK.findall(output):
        match = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
        pairs = (pair.split("=", 1) for pair in match[1].split(", ")) if match else ()
        if rule != "all":
            inputs = re.search(r"^    input: (.*)$", block, re.MULTILINE)
            found.append(Job(rule, dict(pairs), tuple(inputs[1].split(", ")) if inputs else ()))
    return found


def counts(found: Sequence[Job]) -> Counter[str]:
    """Number of jobs a rule."""
    return Counter(job.rule for job in found)
