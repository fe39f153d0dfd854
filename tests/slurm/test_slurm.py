"""A grid through SLURM, with jobs warned, cancelled, out of time and on a node that dies, gives the local scores."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cluster import Cluster, Submission, wait_for
from repository import Repository
from safetensors import safe_open
from small_grid import SMALL, Undisturbed, products

TRAINED = ("pretrain_backbone", "train_intermediate", "train_target")
ON_GPUS = (*TRAINED, "score_target")
# Seconds. SLURM counts a job as lost that a node does not know when it comes back, but only once the job has been
# there for BatchStartTimeout and ten seconds; a node that is back sooner is asked again only minutes later.
BOOTING = 16
FAR = 100  # steps that a training has taken before it is harmed


@pytest.fixture(scope="module")
def disturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The grid through the cluster, while everything happens to it that happens to jobs; nobody helps."""
    repository = Repository(tmp_path_factory.mktemp("slurm"))
    repository.configure(SMALL)
    edit_profile(repository.folder / "profiles" / "slurm" / "config.yaml")
    with (repository.folder / "output.txt").open("wb") as output:
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--nocolor"]
        run = subprocess.Popen(command, cwd=repository.folder, env=cluster.env, stdout=output, stderr=output)
        try:
            disturb(cluster, run, repository.folder / "results" / "resume")
            status = run.wait(timeout=600)
        finally:
            run.kill()
    assert status == 0, (repository.folder / "output.txt").read_text()[-5000:]
    return repository


def edit_profile(path: Path) -> None:
    """What a user of this small, quick cluster would change; the rest of the profile is tried as it is."""
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    profile["set-threads"] = dict.fromkeys(ON_GPUS, 1)
    for rule in TRAINED:
        profile["set-resources"][rule]["save_seconds"] = 1
    # There is no accounting here.
    profile |= {"slurm-status-command": "squeue", "latency-wait": 5}
    profile |= {"slurm-init-seconds-before-status-checks": 4, "seconds-between-status-checks": 2}
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")


def disturb(cluster: Cluster, run: subprocess.Popen[bytes], states: Path) -> None:
    """Harm four trainings, each in another manner, once they have come a good way and saved it."""

    def under_way(state: str, rule: str) -> str:
        def found() -> Submission | None:
            assert run.poll() is None, "the run ended before it was harmed"
            return cluster.running(rule) if steps_saved(states, state) >= FAR else None

        return wait_for(f"a saved state of {rule}", found).number

    # Warned: SIGUSR1 comes two minutes before the end of the time (which SLURM looks at every 30 s).
    job = under_way("pretrain_backbone/tiny", "rule_pretrain_backbone")
    cluster.send(job, signal.SIGSTOP)
    cluster.call("scontrol", "update", f"jobid={job}", "EndTime=now+100")
    log = states.parents[1] / "logs/models/tiny/backbone.log"
    wait_for("the warning of the time limit", lambda: "stopped by SIGUSR1; state saved" in log.read_text())
    cluster.send(job, signal.SIGCONT)  # what the cluster has not woken itself

    # Out of time.
    job = under_way("train_target/tiny,none,mnli,1", "rule_train_target_wildcards_tiny_none")
    cluster.send(job, signal.SIGSTOP)
    cluster.call("scontrol", "update", f"jobid={job}", "EndTime=now+1")

    job = under_way("train_intermediate/tiny,mnli,1", "rule_train_intermediate")
    cluster.call("scancel", job)

    job = under_way("train_target/tiny,mnli,mnli,1", "rule_train_target_wildcards_tiny_mnli")
    cluster.crash_node(job)
    time.sleep(BOOTING)
    cluster.boot_node()


def steps_saved(states: Path, name: str) -> int:
    """How far the saved state of a job has come; 0 where there is none."""
    for path in states.glob(f"{name}.*.safetensors"):
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])["facts"]
        except OSError:  # replaced at this very moment
            continue
        return int(facts.get("stage", facts)["step"])
    return 0


def test_scores_and_weights_are_those_of_the_local_run(undisturbed: Undisturbed, disturbed: Repository) -> None:
    here, there = products(undisturbed.repository), products(disturbed)
    assert sorted(here) == sorted(there)
    for name, path in here.items():
        assert there[name].read_bytes() == path.read_bytes(), name
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
    assert said.count("Trying to restart job") == 3, "the others were submitted again"
    assert "runtime=60" in said, "a second attempt may run twice as long"


def test_jobs_go_where_the_profile_sends_them(cluster: Cluster, disturbed: Repository) -> None:
    jobs = {re.sub(r"_wildcards.*", "", job.rule): job for job in cluster.queue() if "rule_" in job.rule}
    assert jobs["rule_train_tokenizer"].partition == "cpu"
    assert {jobs[f"rule_{name}"].partition for name in ON_GPUS} == {"gpu"}
    assert all("gpu:1" in jobs[f"rule_{name}"].gpus for name in ON_GPUS)
    here_alone = ("prepare_", "collect_", "compare_", "plot_", "summarise", "test_gains", "select_", "average_")
    assert not [rule for rule in jobs if rule.removeprefix("rule_").startswith(here_alone)]


def test_short_jobs_are_submitted_together(cluster: Cluster, disturbed: Repository) -> None:
    encodings = [job for job in cluster.queue() if "encode" in job.rule]
    assert len(encodings) == 1 and encodings[0].partition == "cpu", "three encodings are one submission"
    assert len(list(disturbed.folder.glob("logs/encoded/**/*.log"))) == 3
