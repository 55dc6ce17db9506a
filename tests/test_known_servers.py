"""Known servers are asked once, by the whole program, and the verdicts are the same as the first time."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import temporary_database
from tests.fediverse import Running, mixed_crowd, start_fediverse
from tests.program import patient_environment, vmcrawl

_SERVERS = 150


class Twice:
    """A crowd that was crawled, made due, and crawled again."""

    def __init__(self, url: str, fediverse: Running, directory: Path) -> None:
        self.fediverse = fediverse
        self.env = patient_environment(url, fediverse.config_file)
        self.run("domains", "import", str(fediverse.domains_file))
        self.first = self._crawl(url)
        self.asked_first = len(fediverse.requests())
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE domains SET due_at = now(), retry_after_until = NULL")
        self.second = self._crawl(url)

    def run(self, *arguments: str) -> None:
        finished = vmcrawl(*arguments, env=self.env)
        assert finished.returncode == 0, finished.stderr

    def _crawl(self, url: str) -> dict[str, tuple[object, ...]]:
        """The verdict on each domain, and what is published of it."""
        self.run("crawl", "--processes", "2", "--threads", "24")
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT d.domain, d.outcome, d.alias_of, i.software, i.version, i.active_users"
                " FROM domains AS d LEFT JOIN instances AS i USING (domain) WHERE d.outcome IS NOT NULL"
            )
            return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module")
def twice(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    directory = tmp_path_factory.mktemp("known")
    with temporary_database(server_url) as url, start_fediverse(mixed_crowd(_SERVERS), directory) as fediverse:
        yield Twice(url, fediverse, directory)


def test_the_second_look_comes_to_the_same_verdicts(twice):
    truth = twice.fediverse.truth()
    assert {domain for domain, row in twice.second.items() if domain in truth and row != twice.first[domain]} == set()
    wrong = [
        d for d, row in twice.second.items() if d in truth and row[0] not in (truth[d]["outcome"], *truth[d]["also"])
    ]
    assert wrong == []


def test_healthy_servers_are_asked_for_one_document_that_has_not_changed(twice):
    healthy = {domain for domain, row in twice.second.items() if row[0] == "ok"}
    assert len(healthy) >= 10
    again = [entry for entry in twice.fediverse.requests()[twice.asked_first :] if entry["site"] in healthy]
    asked = Counter(entry["site"] for entry in again)
    assert set(asked.values()) == {1}
    assert {entry["path"].rpartition("/")[0] for entry in again} == {"/nodeinfo"}
    # What the server then answers is 304 (tests/fediverse): its log has the answer it would have given.
    assert [entry for entry in again if "if-none-match" not in entry["headers"]] == []
