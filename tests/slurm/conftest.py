"""A throw-away SLURM cluster on loopback for the session; where none can be had the tests skip, saying why."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import LOCAL_CLUSTER, Cluster
from machine import PATIENCE, too_slow

STARTING = 120 * PATIENCE  # seconds; half a second is usual


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster of one node with four processors and two make-believe GPUs."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="needs: pip install snakemake-executor-plugin-slurm")
    # Not pytest's own folder: paths of unix sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    sizes = {"LOCAL_SLURM_CPUS": "4", "LOCAL_SLURM_MEM_MB": "256000", "LOCAL_SLURM_GPUS": "2"}
    env = {**os.environ, **sizes, "LOCAL_SLURM_DIR": str(folder)}
    try:
        if why := reason_against(env):
            pytest.skip(why)
        yield Cluster(folder, {**env, "SLURM_CONF": f"{folder}/etc/slurm.conf", "PATH": f"{folder}/bin:{env['PATH']}"})
    finally:
        subprocess.run([LOCAL_CLUSTER, "stop"], env=env, check=False, timeout=STARTING, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        Path(f"{folder}.lock").unlink(missing_ok=True)


def reason_against(env: dict[str, str]) -> str | None:
    """Start the cluster; why there is none, where a package, a right or a loopback device is missing."""
    try:
        started = subprocess.run([LOCAL_CLUSTER, "start"], env=env, capture_output=True, text=True, timeout=STARTING)
    except subprocess.TimeoutExpired:
        too_slow(f"no SLURM here: it did not start in {STARTING} s")
    said = started.stderr.strip()
    return None if started.returncode == 0 else f"no SLURM here: {said if started.returncode == 5 else said[-2000:]}"
