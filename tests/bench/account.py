"""Runs a command and accounts for it: CPU of all its processes, however they are related, and their memory.

``python -m tests.bench.account FILE COMMAND ...`` writes one JSON object to FILE and ends as the command did.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_SAMPLE_SECONDS = 0.5


def main() -> int:
    """Run it; the exit code is the command's."""
    # What its own parent leaves behind (the fork server) becomes our child: its CPU is counted, too.
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    started = time.monotonic()
    process = subprocess.Popen(sys.argv[2:], start_new_session=True)
    meter = _Meter(process.pid)
    meter.start()
    code, wall = 0, 0.0
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        if pid == process.pid:
            code, wall = os.waitstatus_to_exitcode(status), time.monotonic() - started
    meter.stop()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    account = {
        "wall_seconds": wall,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "system_seconds": usage.ru_stime,
        "peak_bytes": max(meter.samples, default=0),
        "samples": meter.samples,
    }
    Path(sys.argv[1]).write_text(json.dumps(account))
    return code


class _Meter:
    """Samples the memory of a session: proportional set sizes, so that what is shared counts once (proc(5))."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        #: Bytes, twice a second.
        self.samples: list[int] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            self.samples.append(sum(map(self._bytes_of, Path("/proc").glob("[0-9]*"))))

    def _bytes_of(self, process: Path) -> int:
        try:
            # Behind the name, which may hold anything, the fourth field is the session.
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) != self._session:
                return 0
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:
            return 0  # It has just ended.
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    sys.exit(main())
