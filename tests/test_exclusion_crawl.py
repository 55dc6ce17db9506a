"""Who is excluded gets no request, from whatever command and whoever leads there: told by simulated servers' logs."""

import json
import signal

import pytest

from tests.fediverse import Site, fediverse_in_thread, mastodon, start_fediverse
from tests.fediverse.healthy import (
    HOST_META,
    ROBOTS,
    V2,
    WEBFINGER,
    WELL_KNOWN,
    document,
    not_found,
    redirect,
    with_routes,
)
from tests.fediverse.scenarios_peers import PEERS
from tests.program import patient_environment, start, vmcrawl
from tests.servers import eventually

EXCLUDED = "excluded.social"
BELOW = f"web.{EXCLUDED}"


def to(path):
    return redirect(f"https://{EXCLUDED}{path}")


def leading_there():
    """Servers that lead to the excluded one in every way that there is, and two that are excluded themselves."""
    yield mastodon(EXCLUDED)
    yield mastodon(BELOW)
    for where, path in (("robots", ROBOTS), ("nodeinfo", WELL_KNOWN), ("api", V2)):
        yield with_routes(mastodon(f"{where}.leads.social"), {path: to(path)})
    domain = "hostmeta.leads.social"
    there = mastodon(domain, web_domain=BELOW).routes[HOST_META]
    yield with_routes(Site(domain, mastodon(domain).truth, {}, not_found(), listed_as=domain), {HOST_META: there})
    domain = "webfinger.leads.social"
    routes = mastodon(domain, web_domain=EXCLUDED).routes
    finger = {path: answer for path, answer in routes.items() if path.startswith(WEBFINGER)}
    yield with_routes(Site(domain, mastodon(domain).truth, {}, not_found(), listed_as=domain), finger)
    links = {
        "links": [{"rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": f"https://{BELOW}/nodeinfo/2.0"}]
    }
    yield with_routes(mastodon("link.leads.social"), {WELL_KNOWN: document(json.dumps(links).encode(), None)})
    yield with_routes(mastodon("peers.leads.social"), {PEERS: to(PEERS)})
    # It calls itself by the excluded name, which would have to confirm that.
    yield mastodon("alias.leads.social", v2={"domain": EXCLUDED}, v1={"uri": EXCLUDED})


def asked(fediverse, *domains):
    """Requests, connections and DNS questions about domains."""
    return [entry for entry in fediverse.log() if entry.get("site") in domains] + [
        question for question in fediverse.questions() if any(domain in str(question["question"]) for domain in domains)
    ]


def test_nobody_and_nothing_leads_to_an_excluded_domain(database_url, tmp_path, connection):
    sites = list(leading_there())
    with start_fediverse(sites, tmp_path / "fediverse") as fediverse:
        env = patient_environment(database_url, fediverse.config_file)
        run = ["domains", "exclude", EXCLUDED, "--subdomains", "--reason", "test"]
        assert vmcrawl(*run, env=env).returncode == 0
        listed = tmp_path / "names.txt"
        listed.write_text("".join(f"{site.domain}\n" for site in sites))
        assert "2 excluded (in the ledger, never asked)" in vmcrawl("domains", "import", str(listed), env=env).stdout
        for arguments in (["--json"], ["--json", "--all"], ["--json", "--run", "one"], ["--json", EXCLUDED, BELOW]):
            vmcrawl("domains", "requeue", "--name", "*", env=env)
            finished = vmcrawl("crawl", *arguments, env=env)
            assert finished.returncode == 0, finished.stderr
            outcomes = json.loads(finished.stdout.splitlines()[-1])["outcomes"]
            if arguments != ["--json", "--all"]:
                assert outcomes["excluded"] >= 2, (arguments, outcomes)
        for site in sites:
            assert vmcrawl("check", site.domain, env=env).returncode == 0
            vmcrawl("show", site.domain, env=env)
        assert asked(fediverse, EXCLUDED, BELOW) == []
        # One that is published asks for its peers elsewhere; one that is excluded was published once.
        connection.execute("UPDATE domains SET outcome = 'ok' WHERE domain = %s", [EXCLUDED])
        told = vmcrawl("discover", "--json", "peers.leads.social", EXCLUDED, BELOW, env=env)
        assert {each["requests"] > 0: each["ended"] for each in json.loads(told.stdout)["asked"]}[True] == "excluded"
        assert vmcrawl("discover", "--limit", "100", env=env).returncode == 0
        assert asked(fediverse, EXCLUDED, BELOW) == []
        # The others were asked, and led there.
        assert all(asked(fediverse, site.domain) for site in sites[2:])
        connection.execute("UPDATE domains SET outcome = 'excluded' WHERE domain = %s", [EXCLUDED])
        rows = [json.loads(line) for line in vmcrawl("domains", "list", "--json", env=env).stdout.splitlines()]
        verdicts = {row["domain"].partition(".")[0]: row["outcome"] for row in rows}
        assert verdicts.pop("alias") == "alias_unverified", verdicts
        assert verdicts.pop("api") in ("excluded", "api_unavailable"), verdicts
        assert verdicts.pop("peers") == "ok", verdicts
        assert set(verdicts.values()) == {"excluded"}, verdicts
        # Once it is included again, it is asked: what kept us away was the exclusion.
        assert vmcrawl("domains", "include", EXCLUDED, env=env).returncode == 0
        assert vmcrawl("crawl", EXCLUDED, env=env).returncode == 0
        assert asked(fediverse, EXCLUDED)


@pytest.mark.parametrize("way", ["exclude", "opt-out"])
def test_a_request_to_be_left_alone_holds_for_a_crawl_in_flight(database_url, tmp_path, way, connection):
    slow = b"User-agent: *\nCrawl-delay: 7\n"
    site = with_routes(mastodon(EXCLUDED), {ROBOTS: document(slow, "text/plain")})
    with fediverse_in_thread([site], tmp_path / "fediverse") as fediverse:
        env = patient_environment(database_url, fediverse.config_file)
        patient = {**env, "VMCRAWL_CRAWL_DOMAIN_TIMEOUT": "40s"}
        crawling = start(["crawl", "--json", EXCLUDED, "--processes", "1"], patient)
        try:
            eventually(lambda: len(fediverse.requests(EXCLUDED)) == 1, seconds=60)
            assert vmcrawl("domains", way, EXCLUDED, env=env).returncode == 0
            made = len(fediverse.requests(EXCLUDED))
            output, errors = crawling.communicate(timeout=60)
        finally:
            if crawling.poll() is None:
                crawling.send_signal(signal.SIGKILL)
        assert json.loads(output)["outcomes"] == {"excluded": 1}, errors
        # The delay is longer than it takes a crawler to learn of it.
        assert len(fediverse.requests(EXCLUDED)) == made
        assert connection.execute("SELECT count(*) FROM instances").fetchone() == (0,)
