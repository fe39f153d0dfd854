"""A grid through SLURM, with jobs warned, cancelled, out of time and on a node that dies, gives the local scores."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cluster import Cluster, Patience
from machine import PATIENCE
from repository import Repository
from safetensors import SafetensorError, safe_open
from small_grid import SMALL, Undisturbed, products

TRAINED = ("pretrain_backbone", "train_intermediate", "train_target")
# Seconds. SLURM counts a job as lost that a node does not know when it comes back, but only once the job has been
# there for BatchStartTimeout and ten seconds; a node that is back sooner is asked again only minutes later.
BOOTING = 16
FAR = 50  # steps that a training has taken before it is harmed, out of several hundred
LONGEST = 700 * PATIENCE  # seconds for the grid through the cluster, all that happens to it included


# The plugin looks after jobs more and more rarely, which here would be most of the time. Nothing else is changed.
SNAKEMAKE = """
from snakemake import cli
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, seconds: None)
cli.main()
"""
TABLES = ("results/tables/scores.parquet", "results/tables/transfer.tsv")


@dataclass(frozen=True)
class Victim:
    """A training that is to be harmed: its saved state, how the queue names it, and what is done to it."""

    state: str
    rule: str
    harm: Callable[[str], None]


@pytest.fixture(scope="module")
def disturbed(
    cluster: Cluster, undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Repository]:
    """The grid through the cluster, while everything happens to it that happens to jobs, without help."""
    repository = Repository(tmp_path_factory.mktemp("slurm"))
    repository.configure(SMALL)
    edit_profile(repository.folder / "profiles" / "slurm" / "config.yaml")
    said = repository.folder / "output.txt"
    patience = Patience(LONGEST, lambda: f"{cluster.state()}\n{said.read_text(errors='replace')[-5000:]}")
    with said.open("wb") as output:
        command = [sys.executable, "-c", SNAKEMAKE, "--profile", "profiles/slurm", "--nocolor", *TABLES]
        run = subprocess.Popen(command, cwd=repository.folder, env=cluster.env, stdout=output, stderr=output)
        try:
            disturb(cluster, run, repository.folder, patience)
            patience.wait_for("the end of the run", lambda: run.poll() is not None)
            assert run.returncode == 0, patience.state()
            yield repository
        finally:
            run.kill()
            run.wait()
            cluster.clear()


def edit_profile(path: Path) -> None:
    """What a user of this small, quick cluster would change; the rest of the profile is tried as it is."""
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    del profile["set-threads"]  # the rules' own, as in the local run: another number is another rounding
    for rule in TRAINED:
        profile["set-resources"][rule]["save_seconds"] = 1
    # As the profile advises for small models.
    profile["set-resources"]["score_target"]["in_turn"] = 1
    profile["groups"].append("score_target=score")
    profile["group-components"].append("score=12")
    # There is no accounting here.
    profile |= {"slurm-status-command": "squeue", "latency-wait": 5}
    profile |= {"slurm-init-seconds-before-status-checks": 4}
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")


def disturb(cluster: Cluster, run: subprocess.Popen[bytes], folder: Path, patience: Patience) -> None:
    """Harm four trainings, each in another manner, as soon as each has come a good way and saved it.

    All are watched at once: none can end while another's turn is awaited.
    """
    log = folder / "logs/models/tiny/backbone.log"

    def warn(job: str) -> None:
        """SIGUSR1 comes two minutes before the end of the time (which SLURM checks every 30 s)."""
        cluster.call("scontrol", "update", f"jobid={job}", "EndTime=now+100")
        patience.wait_for("the warning", lambda: "stopped by SIGUSR1; state saved" in log.read_text())
        cluster.send(job, signal.SIGCONT)  # what the cluster has not woken itself

    def let_time_run_out(job: str) -> None:
        cluster.call("scontrol", "update", f"jobid={job}", "EndTime=now+1")

    def cancel(job: str) -> None:
        cluster.call("scancel", job)

    def lose_node(job: str) -> None:
        cluster.crash_node(job)
        time.sleep(BOOTING)
        cluster.boot_node()

    victims = [
        Victim("pretrain_backbone/tiny", "rule_pretrain_backbone", warn),
        Victim("train_target/tiny,none,mnli,1", "rule_train_target_wildcards_tiny_none", let_time_run_out),
        Victim("train_intermediate/tiny,mnli,1", "rule_train_intermediate", cancel),
        Victim("train_target/tiny,mnli,mnli,1", "rule_train_target_wildcards_tiny_mnli", lose_node),
    ]

    def next_victim() -> tuple[Victim, str] | None:
        assert run.poll() is None, f"the run ended before it was harmed\n{patience.state()}"
        for victim in victims:
            far = steps_saved(folder / "results/resume", victim.state) >= FAR
            job = cluster.running(victim.rule) if far else None
            if job is not None:
                cluster.send(job.number, signal.SIGSTOP)  # it cannot end now
                return victim, job.number
        return None

    while victims:
        victim, job = patience.wait_for(f"saved states of {[each.rule for each in victims]}", next_victim)
        victims.remove(victim)
        assert steps_saved(folder / "results/resume", victim.state), f"{victim.rule} ended before it was harmed"
        victim.harm(job)


def steps_saved(states: Path, name: str) -> int:
    """How far the saved state of a job has come; 0 where there is none."""
    for path in states.glob(f"{name}.*.safetensors"):
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])["facts"]
        except (OSError, SafetensorError):  # replaced at this very moment
            continue
        return int(facts.get("stage", facts)["step"])
    return 0


def test_scores_and_weights_are_those_of_the_local_run(
    cluster: Cluster, undisturbed: Undisturbed, disturbed: Repository
) -> None:
    here, there = products(undisturbed.repository), products(disturbed)
    tables = {Path(name).relative_to("results") for name in TABLES}
    assert tables <= there.keys() <= here.keys()
    assert [name for name in here if name not in there and name.parts[0] != "tables"] == []
    for name, path in there.items():
        assert here[name].read_bytes() == path.read_bytes(), name
    values = (undisturbed.repository.folder / "results/tables/transfer.tsv").read_text().splitlines()
    assert len(set(values)) == 5 and Path("tables/scores.parquet") in here, "four different cells and a heading"


def test_each_harmed_training_went_on_from_its_state(cluster: Cluster, disturbed: Repository) -> None:
    records = sorted(disturbed.folder.glob("results/*/tiny/**/training.json"))
    assert len(records) == 3
    for record in records:
        resumed = json.loads(record.read_text())["resumed"]
        assert resumed and resumed[0]["step"] >= FAR, f"{record} was trained from its beginning"
    assert "resumed after step" in (disturbed.folder / "logs/models/tiny/backbone.log").read_text()
    assert not list(disturbed.folder.glob("results/resume/**/*.safetensors"))


def test_it_was_harmed_in_all_these_ways(cluster: Cluster, disturbed: Repository) -> None:
    said = (disturbed.folder / "output.txt").read_text()
    assert "pretrain_backbone tiny: stopped by SIGUSR1; state saved in" in said
    ended = cluster.ended()
    assert {job["JobState"] for job in ended} == {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
    lost = next(job["JobId"] for job in ended if job["JobState"] == "NODE_FAIL")
    assert [job["JobState"] for job in ended if job["JobId"] == lost] == ["NODE_FAIL", "COMPLETED"], "put back"
    # A job whose start falls into the time without a node fails as well, and is submitted once more.
    failed_starts = said.count("Task launch for StepId")
    assert said.count("Trying to restart job") == 3 + failed_starts, "the others were submitted again"
    logs = (disturbed.folder / ".snakemake/log").glob("*.snakemake.log")  # blocks of jobs
    assert any("runtime=60" in log.read_text() for log in logs), "a second attempt may run twice as long"


def test_jobs_go_where_the_profile_sends_them(cluster: Cluster, disturbed: Repository) -> None:
    jobs = {re.sub(r"_wildcards.*", "", job.rule): job for job in cluster.queue() if "rule_" in job.rule}
    assert jobs["rule_train_tokenizer"].partition == "cpu"
    assert {jobs[f"rule_{name}"].partition for name in TRAINED} == {"gpu"}
    assert all("gpu:1" in jobs[f"rule_{name}"].gpus for name in TRAINED)
    here_alone = (
        "prepare_",
        "collect_",
        "compare_",
        "plot_",
        "summarise",
        "test_gains",
        "select_",
        "average_",
        "make_page",
    )
    assert not [rule for rule in jobs if rule.removeprefix("rule_").startswith(here_alone)]


def test_short_jobs_are_submitted_together(cluster: Cluster, disturbed: Repository) -> None:
    """And ask for what one of them needs at a time, for as long as all of them take."""
    together = {kind: [job for job in cluster.queue() if kind in job.rule] for kind in ("encode", "score")}
    assert {kind: len(found) for kind, found in together.items()} == {"encode": 1, "score": 1}
    encodings, scores = together["encode"][0], together["score"][0]
    assert (encodings.partition, encodings.processors, encodings.limit) == ("cpu", "1", "30:00")
    assert (scores.partition, scores.processors, scores.limit) == ("gpu", "1", "2:00:00")
    assert "gpu:1" in scores.gpus, "four members, one GPU"
    assert len(list(disturbed.folder.glob("logs/encoded/**/*.log"))) == 3
    assert len(list(disturbed.folder.glob("logs/scores/**/*.log"))) == 4
