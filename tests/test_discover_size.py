"""However many names a server tells, ``vmcrawl discover`` holds a few of them at a time."""

import psycopg

from tests.bench.peers import ask, names, teller, told


def test_a_hundred_times_as_many_names_take_no_more_memory(database_url, tmp_path):
    sites = [teller("few", names(3_000)), teller("many", names(300_000))]
    with told(database_url, sites, tmp_path / "fediverse") as env:
        few, many = ask("few", env), ask("many", env)
    # The names alone would be 25 MB as strings.
    assert many.peak_bytes - few.peak_bytes < 15 << 20
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM domains WHERE source = 'peers'").fetchone() == (300_000,)
