"""Cores and processes of the machine."""

import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from vmcrawl.machine import (
    CpuMeter,
    DemandMeter,
    is_gone,
    process_identity,
    raise_file_limit,
    usable_cores,
    usable_memory,
)


@pytest.mark.parametrize(
    ("quota", "most"), [("50000 100000", 1), ("150000 100000", 2), ("max 100000", 10**6), ("", 10**6), ("1 0", 1)]
)
def test_the_quota_of_the_cgroup_bounds_the_cores(tmp_path, quota, most):
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path) == min(len(os.sched_getaffinity(0)), most)


def test_without_a_cgroup_the_affinity_counts(tmp_path):
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_a_process_is_gone_when_it_has_ended_and_its_name_never_returns():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = process_identity(process.pid)
        assert identity is not None
        assert not is_gone(identity)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert is_gone(identity)
    # The same PID, taken by somebody else.
    boot, namespace, pid, _ = (process_identity() or "").split("/")
    assert is_gone(f"{boot}/{namespace}/{pid}/1")


def test_the_meter_sees_how_busy_the_machine_is(tmp_path):
    stat, cgroup = tmp_path / "stat", tmp_path / "cpu.stat"
    stat.write_text("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n")
    meter = CpuMeter(proc=tmp_path, cgroup=tmp_path)
    assert meter.busy() is None
    stat.write_text("cpu  190 0 100 810 0 0 0 0 0 0\n")
    assert meter.busy() == pytest.approx(0.9)
    # Under a quota the machine may be idle while our share is used up.
    cgroup.write_text("usage_usec 0\n")
    meter.busy()
    stat.write_text("cpu  190 0 100 910 0 0 0 0 0 0\n")
    cgroup.write_text("usage_usec 900000000\n")
    assert meter.busy() == 1.0


def test_the_meter_of_this_machine_reads_something_sensible():
    meter = CpuMeter()
    sum(range(10**6))
    busy = meter.busy()
    assert busy is None or 0 <= busy <= 1


@pytest.mark.parametrize("identity", ["", "elsewhere", "a/b/c/d", "another-boot/pid:[1]/1/1"])
def test_nobody_elsewhere_is_called_gone(identity):
    assert not is_gone(identity)


def test_memory_is_the_tighter_of_machine_and_cgroup(tmp_path):
    cgroup, proc = tmp_path / "cgroup", tmp_path / "proc"
    cgroup.mkdir()
    proc.mkdir()
    assert usable_memory(cgroup, proc) is None
    (proc / "meminfo").write_text("MemTotal:        2048 kB\nMemFree: 1 kB\n")
    assert usable_memory(cgroup, proc) == 2048 << 10
    (cgroup / "memory.max").write_text("max\n")
    assert usable_memory(cgroup, proc) == 2048 << 10
    (cgroup / "memory.max").write_text("1048576\n")
    assert usable_memory(cgroup, proc) == 1 << 20
    assert usable_memory() is not None


def test_a_process_may_open_as_many_files_as_the_system_allows():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_a_process_wants_of_the_cpus_is_seen_by_its_threads():
    meter = DemandMeter()
    meter.demand()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    assert (meter.demand() or 0.0) > 0.7
    time.sleep(0.5)
    assert (meter.demand() or 0.0) < 0.4


def test_where_threads_cannot_be_seen_nobody_knows_what_they_want(tmp_path):
    assert DemandMeter(tmp_path / "nothing").demand() is None
    (tmp_path / "1").mkdir()
    meter = DemandMeter(tmp_path)
    assert [meter.demand(), meter.demand()] == [None, None]
