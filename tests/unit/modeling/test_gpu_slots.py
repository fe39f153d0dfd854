"""Jobs that share a GPU: never more than its slots, never beyond its memory. Locks only: no GPU is needed."""

import multiprocessing
import os
import signal
import time

import pytest
from stiltgrid.modeling.gpu_lease import lease_gpu
from stiltgrid.modeling.gpu_slots import MEGABYTES, SLOTS, Share, announce, lease_share, slots_needed

FORK = multiprocessing.get_context("fork")
TOTAL = 80_000


def job(take, answers):
    try:
        answers.put(take())
    except TimeoutError:
        answers.put(None)
    time.sleep(60)


@pytest.fixture
def begin(tmp_path):
    """Starts a job that leases and lives on; returns (process, what it got)."""
    begun = []

    def start(megabytes, names=("0",), slots=4, whole=False):
        def take():
            if whole:
                return lease_gpu(names, tmp_path, 0.0)
            told = {SLOTS: str(slots), MEGABYTES: str(megabytes)}
            return lease_share(names, lambda place: TOTAL, told, tmp_path, 0.0)

        answers = FORK.SimpleQueue()
        process = FORK.Process(target=job, args=(take, answers))
        process.start()
        begun.append(process)
        return process, answers.get()

    yield start
    for process in begun:
        process.kill()
        process.join(20)


def test_small_jobs_share_and_no_more_than_there_are_slots(begin):
    jobs = [begin(2_000) for _ in range(5)]
    assert [share for _, share in jobs] == [Share(0, 0.25)] * 4 + [None]
    os.kill(jobs[1][0].pid, signal.SIGKILL)
    jobs[1][0].join()
    assert begin(2_000)[1] == Share(0, 0.25), "a killed job holds no slot"


def test_a_job_takes_as_many_slots_as_its_memory_needs(begin):
    assert begin(45_000)[1] == Share(0, 0.75)
    assert begin(30_000)[1] is None, "two slots are not free"
    assert begin(15_000)[1] == Share(0, 0.25)


def test_jobs_spread_over_gpus_before_they_share_one(begin):
    assert [begin(2_000, ("a", "b"), 2)[1].place for _ in range(4)] == [0, 1, 0, 1]


def test_a_job_that_wants_a_whole_gpu_and_one_that_wants_a_slot_keep_apart(begin):
    assert begin(2_000)[1] == Share(0, 0.25)
    assert begin(0, whole=True)[1] is None
    assert begin(0, ("1",), whole=True)[1] == 0
    assert begin(2_000, ("1",))[1] is None


def test_slots_follow_from_memory():
    assert [slots_needed(4, need, 80_000) for need in (0, 20_000, 20_001, 500_000)] == [1, 1, 2, 4]
    assert slots_needed(1, 10, 80_000) == 1


def test_resources_reach_the_job_through_its_environment():
    told = {}
    announce({"gpu_slots": 3, "mem_mb": 2600}, told)
    assert told == {SLOTS: "3", MEGABYTES: "2600"}
    announce({"mem_mb": 2600, "gpu_mb": 9000}, told)
    assert told == {SLOTS: "1", MEGABYTES: "9000"}
    announce({"mem_mb": "<TBD>"}, told)
    assert told == {SLOTS: "1", MEGABYTES: "0"}
