"""How much of this machine is ours."""

import os
from pathlib import Path


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores this process may use: its CPU affinity, and the quota of its cgroup (v2, ``cpu.max``), rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    if not quota.isdigit() or not period.isdigit():
        return cores
    return max(1, min(cores, -(-int(quota) // max(1, int(period)))))
