"""No two jobs share a GPU, and the dead hold none. Locks only: no GPU is needed."""

import multiprocessing
import os
import signal

import pytest
from stiltgrid.gpu_lease import lease_gpu, visible_gpus

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


@pytest.mark.parametrize(
    ("count", "told", "expected"),
    [(2, "", ["0", "1"]), (2, "3,5", ["3", "5"]), (1, "GPU-abc", ["GPU-abc"]), (2, "7", ["0", "1"])],
)
def test_gpus_are_named_as_the_environment_tells(count, told, expected):
    assert visible_gpus(count, {"CUDA_VISIBLE_DEVICES": told}) == expected
