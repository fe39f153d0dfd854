"""No two jobs share a GPU, and the dead hold none. Locks only: no GPU is needed."""

import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import tempfile

import pytest
from stiltgrid.modeling.gpu_lease import assigned, lease_gpu, lease_gpus, visible_gpus

FORK = multiprocessing.get_context("fork")


def job(folder, names, answers, go_on, patience=10.0):
    try:
        answers.put(lease_gpu(names, folder, patience))
    except TimeoutError:
        answers.put(None)
    go_on.wait(20)


def begin(folder, names, patience=10.0):
    answers, go_on = FORK.Queue(), FORK.Event()
    process = FORK.Process(target=job, args=(folder, names, answers, go_on, patience))
    process.start()
    return process, answers.get(timeout=20), go_on


def test_each_job_has_its_own_and_a_third_waits_for_the_first_to_end(tmp_path):
    jobs = [begin(tmp_path, ["0", "1"]) for _ in range(2)]
    assert [place for _, place, _ in jobs] == [0, 1]
    late = begin(tmp_path, ["0", "1"], patience=0.0)
    assert late[1] is None, "both are taken"
    os.kill(jobs[1][0].pid, signal.SIGKILL)
    jobs[1][0].join()
    after = begin(tmp_path, ["0", "1"])
    assert after[1] == 1, "a killed job holds nothing"
    for process, _, go_on in (jobs[0], late, after):
        go_on.set()
        process.join(20)
        assert process.exitcode == 0


def test_a_job_keeps_the_gpu_it_has(tmp_path):
    with FORK.Pool(1) as pool:
        assert pool.starmap(lease_gpu, [(["a", "b"], tmp_path)] * 3, chunksize=3) == [0, 0, 0]


def wide_job(folder, answers, go_on, patience):
    try:
        answers.put(lease_gpus(["0", "1", "2"], 2, folder, patience))
    except TimeoutError:
        answers.put(lease_gpus(["0", "1", "2"], 1, folder, patience))
    go_on.wait(20)


def test_a_job_that_waits_for_several_holds_none(tmp_path):
    """Two jobs that want two of three: the second is in nobody's way, and would be served by what is left."""
    found, jobs = [], []
    for patience in (10.0, 0.0):
        answers, go_on = FORK.Queue(), FORK.Event()
        jobs.append((FORK.Process(target=wide_job, args=(tmp_path, answers, go_on, patience)), go_on))
        jobs[-1][0].start()
        found.append(answers.get(timeout=20))
    assert found == [[0, 1], [2]], "one that held the third while it waited for a fourth would not find it free"
    for process, go_on in jobs:
        go_on.set()
        process.join(20)
        assert process.exitcode == 0


def computing_job(environment, answers, go_on, gpus=2):
    """`prepare_compute` on a make-believe machine of so many GPUs; which of them it makes its own."""
    import torch
    from stiltgrid.modeling.device import prepare_compute

    chosen = []
    os.environ.update(environment)
    tempfile.tempdir = environment["TMPDIR"]
    torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: gpus
    torch.cuda.is_bf16_supported, torch.cuda.set_device = lambda: True, chosen.append
    prepare_compute(threads=1)
    answers.put(chosen)
    go_on.wait(20)


def test_jobs_compute_on_gpus_of_their_own_unless_a_scheduler_gave_them(tmp_path):
    machine = {"TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0,1"}
    given = ({}, {}, {"SLURM_JOB_ID": "7"}, {"WORLD_SIZE": "2", "LOCAL_RANK": "1"})
    found, jobs = [], []
    for more in given:
        answers, go_on = FORK.Queue(), FORK.Event()
        jobs.append((FORK.Process(target=computing_job, args=({**machine, **more}, answers, go_on)), go_on))
        jobs[-1][0].start()
        found.append(answers.get(timeout=60))
    for process, go_on in jobs:
        go_on.set()
        process.join(20)
        assert process.exitcode == 0
    assert found == [[0], [1], [], []]


def test_the_only_gpu_has_one_job_at_a_time(tmp_path):
    """`--cores 16` starts four training jobs; three of them wait."""
    answers, go_on = FORK.Queue(), FORK.Event()
    machine = {"TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0"}
    jobs = [FORK.Process(target=computing_job, args=(machine, answers, go_on, 1)) for _ in range(2)]
    for process in jobs:
        process.start()
    assert answers.get(timeout=60) == [0]
    with pytest.raises(queue.Empty):
        answers.get(timeout=3)
    go_on.set()
    assert answers.get(timeout=60) == [0], "after the first has ended"
    for process in jobs:
        process.join(20)
        assert process.exitcode == 0


@pytest.mark.parametrize(("names", "environment", "expected"), [
    (["0"], {}, False),
    (["0", "1"], {"SLURM_JOB_ID": "7"}, True),
    (["0"], {"PBS_JOBID": "7"}, True),  # each job of a node may see its own GPU under this number
    (["0"], {"LSB_JOBID": "7"}, True),
    (["GPU-abc"], {"PBS_JOBID": "7"}, False),
    (["0", "1"], {"PBS_JOBID": "7"}, False),
])  # fmt: skip
def test_what_a_scheduler_has_assigned_is_not_leased(names, environment, expected):
    assert assigned(names, environment) is expected


def test_deterministic_mode_does_not_fill_new_memory(tmp_path):
    """Filling serves results that depend on unwritten memory; PyTorch's default writes every tensor twice."""
    code = (
        "import torch, torch.utils.deterministic as d\n"
        "from stiltgrid.modeling.device import prepare_compute\n"
        "torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 1\n"
        "torch.cuda.is_bf16_supported, torch.cuda.set_device = lambda: True, lambda place: None\n"
        "assert d.fill_uninitialized_memory\n"
        "prepare_compute(threads=1)\n"
        "assert torch.are_deterministic_algorithms_enabled() and not d.fill_uninitialized_memory\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)


@pytest.mark.parametrize(
    ("count", "told", "expected"),
    [(2, "", ["0", "1"]), (2, "3,5", ["3", "5"]), (1, "GPU-abc", ["GPU-abc"]), (2, "7", ["0", "1"])],
)
def test_gpus_are_named_as_in_the_environment(count, told, expected):
    assert visible_gpus(count, {"CUDA_VISIBLE_DEVICES": told}) == expected
