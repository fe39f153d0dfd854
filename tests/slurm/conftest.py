"""A throw-away SLURM cluster on loopback for the session; without its packages the tests skip, naming them."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import LOCAL_CLUSTER, Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster of one node with four processors and two make-believe GPUs."""
    if not os.environ.get("STILTGRID_SLOW_TESTS"):
        pytest.skip(
            "needs: STILTGRID_SLOW_TESTS=1 (some nine minutes; its timing wants a machine with nothing else to do)"
        )
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="needs: pip install snakemake-executor-plugin-slurm")
    # Not pytest's own folder: paths of unix sockets are short.
    folder = tempfile.mkdtemp(prefix="slurm-")
    sizes = {"LOCAL_SLURM_CPUS": "4", "LOCAL_SLURM_MEM_MB": "256000", "LOCAL_SLURM_GPUS": "2"}
    env = {**os.environ, **sizes, "LOCAL_SLURM_DIR": folder}
    started = subprocess.run([LOCAL_CLUSTER, "start"], env=env, capture_output=True, text=True, timeout=180)
    if started.returncode == 5:
        Path(folder).rmdir()
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield Cluster(
        Path(folder), {**env, "SLURM_CONF": f"{folder}/etc/slurm.conf", "PATH": f"{folder}/bin:{env['PATH']}"}
    )
    subprocess.run([LOCAL_CLUSTER, "stop"], env=env, check=False, timeout=180)
    Path(f"{folder}.lock").unlink(missing_ok=True)
