"""kill -9 of random jobs and of Snakemake itself, at random moments, until a small grid has been through enough.

    python tests/faults/chaos.py --rounds 30 --seed 1

Each round starts the grid (or goes on with it) and kills one process outright. Whenever a run has ended, every finished
file must be, byte for byte, that of an undisturbed run; a grid that is complete is compared whole and begun again.
"""

import argparse
import contextlib
import json
import logging
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

for _folder in ("faults", "workflow", "support"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _folder))

from repository import Repository  # noqa: E402
from small_grid import SMALL, Undisturbed, products, run_undisturbed  # noqa: E402

LOG = logging.getLogger("chaos")
TRAINED = ("pretrain_backbone", "train_intermediate", "train_target")
LONGEST_LIFE = 3600  # seconds; a run that takes longer hangs
SNAKEMAKE_SHARE = 0.4  # of the kills; the others hit a job or the process that forks jobs


@dataclass
class Outcome:
    """What happened in all rounds."""

    kills: dict[str, int] = field(default_factory=lambda: {"snakemake": 0, "job": 0})
    grids: int = 0
    compared: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


class Chaos:
    """A grid that is killed again and again, beside one that was left in peace."""

    def __init__(self, folder: Path, peaceful: Undisturbed, seed: int, longest: float = LONGEST_LIFE) -> None:
        self.longest = longest
        self.draw = random.Random(seed)
        self.outcome = Outcome()
        self.running: subprocess.Popen[bytes] | None = None
        self.may_fail = False
        self.peaceful, self.harmed = peaceful, Repository(folder)
        self.harmed.configure(SMALL)

    def run(self, rounds: int) -> Outcome:
        """So many kills; each grid that completes on the way, and the last one, is compared whole."""
        try:
            for number in range(1, rounds + 1):
                self._round(number)
                if self.outcome.problems:
                    return self.outcome
            complete = self.outcome.grids
            while self.outcome.grids == complete and not self.outcome.problems:
                self._ended(self._alive())
        finally:
            if self.running is not None:
                self.running.kill()
        return self.outcome

    def _round(self, number: int) -> None:
        """Kill once. A run that a job's death has not ended is the next round's."""
        while True:
            run = self._alive()
            # Half of the undisturbed time at most: a grid sees several kills before it completes, and trainings too.
            time.sleep(self.draw.uniform(0.5, max(4.0, self.peaceful.seconds / 2)))
            if run.poll() is None:
                break
            self._ended(run)
            if self.outcome.problems:
                return
        family = psutil.Process(run.pid).children(recursive=True)
        victim = self._victim(run.pid, family)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
        if victim.pid == run.pid:
            self.outcome.kills["snakemake"] += 1
            run.wait()
            self.running = None
            self._all_gone(family)
            self.harmed.snakemake("--unlock")
            self._compare(f"after kill {number}")
        else:
            self.outcome.kills["job"] += 1
            self.may_fail = True
        LOG.info("round %d: %s; %d grids complete", number, self.outcome.kills, self.outcome.grids)

    def _alive(self) -> subprocess.Popen[bytes]:
        """The run that is going on, or one that goes on with what the last has left."""
        if self.running is None:
            self.running, self.may_fail = self._start(), False
        return self.running

    def _ended(self, run: subprocess.Popen[bytes]) -> None:
        """Wait for a run's end: whole, or failed because one of its jobs was killed."""
        status = run.wait(timeout=self.longest)
        self.running = None
        if status and self.may_fail:
            self._compare("after a run that lost a job")
        else:
            self._completed(status)

    def _start(self) -> subprocess.Popen[bytes]:
        resources = [f"{rule}:save_seconds=1" for rule in TRAINED]
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--set-resources", *resources]
        with (self.harmed.folder / "output.txt").open("ab") as output:
            return subprocess.Popen(command, cwd=self.harmed.folder, stdout=output, stderr=output)

    def _victim(self, pid: int, family: list[psutil.Process]) -> psutil.Process:
        if not family or self.draw.random() < SNAKEMAKE_SHARE:
            return psutil.Process(pid)
        return self.draw.choice(sorted(family, key=lambda process: process.pid))

    def _all_gone(self, processes: list[psutil.Process]) -> None:
        """Jobs must not outlive their Snakemake: two might do the same work.

        Those that were started after the process that forks them was killed do, as Snakemake's own do.
        """
        # One that is still importing learns of the death when it is done, which takes as long as the machine is busy.
        _, alive = psutil.wait_procs(processes, timeout=1 if self.may_fail else max(20.0, self.peaceful.seconds))
        for process in alive:
            if not self.may_fail:
                self.outcome.problems.append(f"process {process.pid} outlived Snakemake")
            process.kill()

    def _completed(self, status: int) -> None:
        """A run came to its end: compare everything, and begin again with nothing."""
        if status:
            last = (self.harmed.folder / "output.txt").read_text(errors="replace")[-3000:]
            self.outcome.problems.append(f"a run that nobody killed ended with status {status}: {last}")
            return
        self._compare("at the end")
        missing = set(products(self.peaceful.repository)) - set(products(self.harmed))
        self.outcome.problems += [f"at the end: {name} is missing" for name in sorted(missing)]
        records = self.harmed.folder.glob("results/*/tiny/**/training.json")
        self.outcome.resumed += sum("resumed" in json.loads(path.read_text()) for path in records)
        self.outcome.grids += 1
        for name in ("results", "logs", ".snakemake"):
            shutil.rmtree(self.harmed.folder / name, ignore_errors=True)

    def _compare(self, when: str) -> None:
        """Every finished file is that of the undisturbed run; every record can be read."""
        expected = products(self.peaceful.repository)
        for name, path in products(self.harmed).items():
            self.outcome.compared += 1
            if path.read_bytes() != expected[name].read_bytes():
                self.outcome.problems.append(f"{when}: {name} is not that of the undisturbed run")
        for path in (self.harmed.folder / "results").rglob("*.json"):
            if any(part.endswith(".partial") for part in path.parts):
                continue
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                self.outcome.problems.append(f"{when}: {path} is half-written")


def main() -> int:
    """Run from the command line; 1 where anything was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        peaceful = run_undisturbed(Path(folder, "peaceful"))
        LOG.info("undisturbed: %.0f s", peaceful.seconds)
        outcome = Chaos(Path(folder, "harmed"), peaceful, arguments.seed).run(arguments.rounds)
    LOG.info(
        "%d kills of Snakemake, %d of jobs; %d grids complete, %d files compared, %d trainings resumed; %.0f s",
        *outcome.kills.values(),
        outcome.grids,
        outcome.compared,
        outcome.resumed,
        time.monotonic() - started,
    )
    for problem in outcome.problems:
        LOG.error("%s", problem)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
