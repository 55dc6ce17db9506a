"""``status`` on an empty, a small and a large database; for those who may read little; and watched on a terminal."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.bench.population import populate
from tests.conftest import temporary_database
from tests.program import environment, start, vmcrawl
from tests.store.builders import NOW, crawl, failed, names, ok
from tests.together import restart_postgres
from vmcrawl.commands.machines import by_machine
from vmcrawl.commands.status import read_status
from vmcrawl.domain import Domain
from vmcrawl.embedded import running
from vmcrawl.outcome import Outcome
from vmcrawl.settings import DatabaseSettings
from vmcrawl.store import ledger, parts, runs
from vmcrawl.store.database import Database
from vmcrawl.store.migrations import prepare
from vmcrawl.store.parts import Part
from vmcrawl.store.standing import HolderLine, PartLine

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ENTERED, _LEFT, _CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


@pytest.fixture
def env(connection: psycopg.Connection, database_url: str) -> dict[str, str]:
    prepare(connection, timedelta(days=3))
    return environment(database_url)


def shown(*arguments: str, env: dict[str, str]) -> str:
    finished = vmcrawl("status", *arguments, env=env)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_an_empty_database_says_what_to_do_first(env):
    output = shown(env=env)
    assert "0 domains, 0 due" in output
    assert "the ledger is empty: vmcrawl domains import FILE" in output
    assert "no run yet: vmcrawl crawl" in output
    assert "never refreshed: vmcrawl releases refresh" in output
    document = json.loads(shown("--json", env=env))
    assert document["queue"]["domains"] == 0
    assert (document["outcomes"], document["last_day"], document["runs"]) == ({}, {}, [])
    assert document["rates"]["domains"] == 0


def test_a_small_database_is_seen_from_all_sides(env, connection):
    big = Domain("big.example")
    crawl(connection, ok(big, active_users=900), ok(Domain("small.example"), active_users=3))
    crawl(connection, failed(big, Outcome.TIMEOUT))
    crawl(connection, failed(Domain("gone.example"), Outcome.DNS_NOT_FOUND))
    ledger.add_domains(connection, names(3), "test", NOW - timedelta(hours=7))
    # The suite may have begun long ago.
    connection.execute("UPDATE domains SET last_crawled_at = now() WHERE last_crawled_at IS NOT NULL")
    document = json.loads(shown("--json", env=env))
    queue = document["queue"]
    assert (queue["domains"], queue["due"], queue["overdue"], queue["suspects"]) == (6, 3, 3, 0)
    assert document["last_day"] == {"dns_not_found": 1, "ok": 1, "timeout": 1}
    assert document["failing"]["outcomes"] == {"timeout": 1}
    assert document["failing"]["largest"][0]["domain"] == "big.example"
    assert document["rates"]["domains"] == pytest.approx(3 / 60)
    output = shown(env=env)
    assert "6 domains, 3 due, 3 of them for over 6 hours (the oldest for 7 h" in output
    assert "big.example" in output
    assert "gone.example" not in output
    assert not [line for line in output.splitlines() if len(line) > 80]
    assert "\x1b" not in output


def test_the_run_that_goes_on_is_shown_with_its_machines(env, connection):
    now = NOW - timedelta(seconds=100)
    ledger.add_domains(connection, names(40), "test", now)
    first, second = Part("boot1/ns1/10/1", "pod-1", 0), Part("boot1/ns2/10/1", "pod-2", 1)
    run_id = parts.join(connection, "nightly", first, now).run_id
    parts.join(connection, "nightly", second, now)
    for holder, number, held in (("boot1/ns1/11/5#a", 10, 4), ("boot1/ns1/12/5#b", 5, 3), ("boot1/ns2/11/9#c", 5, 2)):
        connection.execute(
            "INSERT INTO tallies VALUES (%s, %s, 'ok', %s, 40, 1000, 1.5, '{0}')", [run_id, holder, number]
        )
        connection.execute(
            "UPDATE domains SET lease_holder = %s, lease_run = %s, leased_until = now() + interval '1 minute'"
            " WHERE domain IN (SELECT domain FROM domains WHERE lease_holder IS NULL ORDER BY domain LIMIT %s)",
            [holder, run_id, held],
        )
    document = json.loads(shown("--json", env=env))
    machines = {one["name"]: one for one in document["machines"]}
    assert {name: (one["crawlers"], one["crawled"], one["held"]) for name, one in machines.items()} == {
        "pod-1": (2, 15, 7),
        "pod-2": (1, 5, 2),
    }
    assert [part["machine"] for part in document["parts"]] == ["pod-1", "pod-2"]
    assert document["queue"]["leased"] == 9
    output = shown(env=env)
    assert "run 1 nightly: 20 of 40, for " in output
    assert "left" in output
    assert "pod-2" in output


def test_processes_are_told_to_machines_by_boot_and_namespace():
    part = PartLine(3, "b/n/1/1", "pod", None, NOW, NOW, None)
    left = PartLine(3, "b/n/9/1", "pod", None, NOW, NOW - timedelta(hours=1), NOW)
    holders = [
        HolderLine(3, "b/n/2/7#x", held=1, crawls=5),
        HolderLine(3, "other/n/2/7#y", expired=2),
        HolderLine(None, "laptop#z", held=4),
    ]
    nameless, unknown, pod = by_machine([part, left], holders)
    assert (nameless.name, nameless.run_id, nameless.held) == ("laptop", None, 4)
    assert (unknown.name, unknown.run_id, unknown.expired) == ("", 3, 2)
    assert (pod.name, pod.parts, pod.at_work, pod.crawled, pod.held) == ("pod", 2, 1, 5, 1)
    assert pod.heartbeat_at == NOW


def test_whoever_may_only_read_sums_sees_these(env, connection, database_url):
    crawl(connection, ok(Domain("a.example")), failed(Domain("b.example"), Outcome.TIMEOUT))
    runs.finish_run(connection, 1, NOW, runs.RunStatus.SUCCESS, {"ok": 1, "timeout": 1})
    url = make_conninfo(database_url, options="-c role=vmcrawl_reader")
    finished = vmcrawl("status", "--json", env=environment(url))
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert document["outcomes"] == {"ok": 1, "timeout": 1}
    assert [run["status"] for run in document["runs"]] == ["success"]
    assert (document["machines"], document["last_day"], document["failing"]["largest"]) == (None, None, [])
    assert "example" not in finished.stdout
    output = vmcrawl("status", env=environment(url)).stdout
    assert "last verdicts" in output
    refused = vmcrawl("pause", env=environment(url))
    assert refused.returncode == 1
    assert "does database.url name a user who may" in refused.stderr
    assert "success" in output


def test_a_pause_is_the_first_thing_to_see(env, connection):
    # As the migration of another part of the program makes it, where it is not there yet.
    connection.execute(
        "CREATE TABLE IF NOT EXISTS pause (only_row boolean PRIMARY KEY DEFAULT true, paused_at timestamptz NOT NULL,"
        " until timestamptz, paused_by text NOT NULL, reason text NOT NULL DEFAULT '')"
    )
    assert json.loads(shown("--json", env=env))["pause"]["paused"] is False
    connection.execute("INSERT INTO pause (paused_at, paused_by, reason) VALUES (now(), 'ops', 'maintenance')")
    assert json.loads(shown("--json", env=env))["pause"]["reason"] == "maintenance"
    assert shown(env=env).splitlines()[1].startswith("PAUSED since ")
    connection.execute("UPDATE pause SET until = now() - interval '1 second'")
    assert "PAUSED" not in shown(env=env)


def test_a_quarter_of_a_million_domains_are_summed_up_from_their_tables(server_url):
    with temporary_database(server_url) as url:
        populate(url, 250_000, 30_000)
        database = Database(DatabaseSettings(url=url))
        try:
            status = read_status(database)
        finally:
            database.close()
        assert status.queue is not None
        assert status.queue.domains == 250_000
        assert status.queue.leased == 2_000
        assert sum(count.instances for count in status.versions or ()) == 30_000
        assert sum((status.failing.outcomes if status.failing else {}).values()) == 600
        output = shown(env=environment(url))
    assert "250,000 domains" in output
    assert not [line for line in output.splitlines() if len(line) > 80]


@dataclass
class Terminal:
    """A program on a terminal of 80 columns, and what it has written so far."""

    process: "subprocess.Popen[bytes]"
    output: bytes = b""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self, descriptor: int) -> None:
        while True:
            try:
                piece = os.read(descriptor, 65536)
            except OSError:
                piece = b""
            with self.changed:
                self.output += piece
                self.changed.notify_all()
            if not piece:
                return

    def wait_for(self, text: str, after: int = 0) -> int:
        """Wait until ``text`` is written; returns how much there was by then."""
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.text()[after:], timeout=60), self.text()[-2000:]
            return len(self.text())

    def text(self) -> str:
        return self.output.decode("utf-8", "replace")


@contextmanager
def terminal(*arguments: str, env: dict[str, str]) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    command = [sys.executable, "-m", "vmcrawl", *arguments]
    process = subprocess.Popen(
        command,
        env={**env, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    found = Terminal(process)
    reader = threading.Thread(target=found.read, args=(ours,))
    reader.start()
    try:
        yield found
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(ours)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_is_watched_on_a_terminal_until_a_signal_and_leaves_it_as_it_was(env, connection, number, code):
    crawl(connection, ok(Domain("a.example")))
    with terminal("status", "--watch", "0.2", env=env) as watched:
        seen = watched.wait_for("1 domains")
        crawl(connection, ok(Domain("b.example")))
        watched.wait_for("2 domains", seen)
        watched.process.send_signal(number)
        assert watched.process.wait(30) == code
        watched.wait_for(_LEFT)
        text = watched.text()
    assert text.index(_ENTERED) < text.index(_LEFT)
    assert text.rindex(_CURSOR) > text.index(_ENTERED)
    assert "Traceback" not in text
    # Each picture begins where the last one did.
    pictures = _ESCAPES.sub("", text.replace("\x1b[H", "\n"))
    assert not [line for line in pictures.splitlines() if len(line) > 80]


def test_a_restart_of_the_database_is_told_of_and_survived(tmp_path: Path):
    with running(tmp_path) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            database = Database(DatabaseSettings(url=url))
            database.run(lambda connection: prepare(connection, timedelta(days=3)))
            database.close()
            ledger.add_domains(connection, names(1), "test", NOW)
        with terminal("status", "--watch", "0.2", env=environment(url)) as watched:
            watched.wait_for("1 domains")
            restart_postgres(tmp_path)
            seen = watched.wait_for("the database cannot be reached")
            with psycopg.connect(url, autocommit=True) as connection:
                ledger.add_domains(connection, names(2), "test", NOW)
            watched.wait_for("2 domains", seen)
            watched.process.send_signal(signal.SIGTERM)
            assert watched.process.wait(30) == 143


def test_elsewhere_pictures_follow_each_other(env):
    with start(["status", "--watch", "0.2"], env) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        heads = [next(line for line in lines if line.startswith("vmcrawl at ")) for _ in range(3)]
        process.terminate()
        rest = "".join(lines)
        assert process.wait(30) == 143
    assert heads[0] <= heads[2]
    assert "\x1b" not in rest


def test_a_database_that_was_never_there_is_worth_another_try_and_no_picture():
    finished = vmcrawl("status", "--watch", env=environment("postgresql://nobody@127.0.0.1:9/nothing"))
    assert (finished.returncode, finished.stdout) == (75, "")


@pytest.mark.parametrize("arguments", [["--watch", "0"], ["--watch", "soon"], ["--watch", "--json"]])
def test_a_wrong_word_is_wrong_usage(arguments, env):
    assert vmcrawl("status", *arguments, env=env).returncode == 2
