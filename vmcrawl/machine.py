"""How much of this machine is ours, how its processes fare, and which of them are still there."""

import gc
import os
import random
import resource
import time
from contextlib import suppress
from pathlib import Path

_FILES = 1 << 16
_THREADS_LOOKED_AT = 32
#: Objects that may be cycles, made and not freed since the last look for them.
_COLLECT_EVERY = 50_000


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


def usable_memory(cgroup: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> int | None:
    """Bytes of memory that may be used: the machine's, and the limit of its cgroup (v2, ``memory.max``).

    None where neither can be read.
    """
    limits = []
    # No cgroup of version 2, or "max": there is no limit.
    with suppress(OSError, ValueError):
        limits.append(int((cgroup / "memory.max").read_text()))
    with suppress(OSError, ValueError, StopIteration, IndexError):
        total = next(line for line in (proc / "meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
        limits.append(int(total.split()[1]) << 10)
    return min(limits, default=None)


def raise_file_limit() -> None:
    """Let this process open as many files as the system allows: hundreds of crawls have several sockets each."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(most, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def spare_the_collector() -> None:
    """Look for cycles rarely, and never among what has been loaded: crawls leave none, and each look costs them all."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


def process_identity(pid: int | str = "self", proc: Path = Path("/proc")) -> str | None:
    """Name a process so that nobody else ever bears the name: boot, PID namespace, PID and start time (proc(5)).

    None if there is no such process, or no procfs.
    """
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(proc / "self/ns/pid")
        # The second field, the name of the program, may itself hold spaces and parentheses.
        number, _, rest = (proc / str(pid) / "stat").read_text().partition(" ")
        fields = rest.rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    # A zombie has ended; it may wait for ever for a parent that asks.
    return None if state in "ZX" else f"{boot}/{namespace}/{number}/{started}"


def is_gone(identity: str, proc: Path = Path("/proc")) -> bool:
    """Whether the process of that name has ended; False where that cannot be seen from here (another machine)."""
    ours = process_identity(proc=proc)
    parts = identity.split("/")
    if ours is None or len(parts) != 4 or ours.split("/")[:2] != parts[:2] or not parts[2].isdigit():
        return False
    return process_identity(parts[2], proc) != identity


class CpuMeter:
    """Measures how busy the CPUs are, all of the machine's and, under a cgroup's quota, those that are ours."""

    def __init__(self, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._cgroup = cgroup
        self._cores = usable_cores(cgroup)
        self._last = self._read()

    def busy(self) -> float | None:
        """The share (0 to 1) in use since the last call, by anybody; None where there is nothing to measure it by."""
        last, self._last = self._last, self._read()
        shares = [
            min(1.0, max(0.0, (used - last_used) / (total - last_total)))
            for (used, total), (last_used, last_total) in zip(self._last, last, strict=False)
            if total > last_total
        ]
        return max(shares, default=None)

    def _read(self) -> list[tuple[float, float]]:
        """Time used and time there was, of the machine and of the cgroup, each in a unit of its own."""
        readings = []
        try:
            ticks = [int(text) for text in (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
            # user nice system idle iowait irq softirq steal (proc(5))
            readings.append((float(sum(ticks) - ticks[3] - ticks[4]), float(sum(ticks))))
            used = dict(line.split() for line in (self._cgroup / "cpu.stat").read_text().splitlines())["usage_usec"]
            readings.append((float(used), time.monotonic() * 1e6 * self._cores))
        except (OSError, ValueError, KeyError, IndexError):
            # What cannot be read cannot be watched; the first reading may be there all the same.
            return readings
        return readings


class DemandMeter:
    """Measures how much of a CPU this process wants: what its threads used, and what they waited for.

    Where a process wants all of one, its threads hardly ever wait for the network, and more of them would only wait
    for each other. Of hundreds of threads some are looked at (``schedstat`` of each, proc(5)).
    """

    def __init__(self, task: Path = Path("/proc/self/task")) -> None:
        self._task = task
        self._at = time.monotonic()
        self._last: dict[str, int] = {}

    def demand(self) -> float | None:
        """CPUs wanted since the last call; None where there is nothing to measure it by."""
        try:
            threads = os.listdir(self._task)
        except OSError:
            return None
        moment, seconds = time.monotonic(), time.monotonic() - self._at
        grown = [now - before for name, before in self._last.items() if (now := self._nanoseconds(name)) is not None]
        number = len(threads)
        sample = threads if number <= _THREADS_LOOKED_AT else random.sample(threads, _THREADS_LOOKED_AT)
        self._at = moment
        self._last = {name: spent for name in sample if (spent := self._nanoseconds(name)) is not None}
        if not grown or seconds <= 0:
            return None
        return sum(grown) / len(grown) * number / 1e9 / seconds

    def _nanoseconds(self, name: str) -> int | None:
        """What a thread has used and waited for so far; None if it has ended."""
        try:
            used, waited, _ = (self._task / name / "schedstat").read_text().split()
        except (OSError, ValueError):
            return None
        return int(used) + int(waited)
