"""The command line: what it prints, what it returns, and that a wrong word gets a helpful answer."""

import json
import os
import subprocess
import sys

import pytest

from tests.program import environment, vmcrawl
from tests.store.builders import NOW, names
from vmcrawl import __version__
from vmcrawl.cli import main
from vmcrawl.store import ledger
from vmcrawl.store.ledger import PAGE_SIZE


@pytest.fixture
def env(database_url):
    return environment(database_url, VMCRAWL_NETWORK_NAMESERVERS="127.0.0.1:9")


def lines(finished: "subprocess.CompletedProcess[str]") -> list[str]:
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def test_without_a_network_names_end_as_dns_failure_and_the_run_is_a_success(env):
    finished = vmcrawl("crawl", "--json", "mastodon.social", "vmst.io", env=env)
    summary = json.loads(lines(finished)[0])
    assert (summary["status"], summary["outcomes"]) == ("success", {"dns_failure": 2})
    assert "mastodon.social" in "\n".join(lines(vmcrawl("domains", "list", "--outcome", "dns_failure", env=env)))


def test_the_summary_is_readable(env):
    assert lines(vmcrawl("crawl", "vmst.io", env=env))[0].startswith("run 1: success; 1 of 1 domains in ")


def test_names_come_from_a_file_and_bad_lines_are_shown_by_number(env, tmp_path):
    names = tmp_path / "names.txt"
    names.write_bytes(b"# servers\nmastodon.social\n\nMastodon.Social.\nnot a name\nb\xc3\xbccher.social\n127.0.0.1\n")
    finished = vmcrawl("domains", "import", str(names), "--json", env=env)
    told = json.loads(lines(finished)[0])
    assert told.items() >= {"added": 2, "known": 0, "duplicates": 1, "bad": 2, "format": "text"}.items()
    assert [line["number"] for line in told["bad_lines"]] == [5, 7]
    assert "line 5" in finished.stderr
    assert "line 7" in finished.stderr
    again = vmcrawl("domains", "import", str(names), env=env)
    assert lines(again) == ["0 added, 2 known, 1 duplicates, 2 bad"]


def test_names_come_from_stdin(env):
    command = ["domains", "import", "-"]
    finished = subprocess.run(
        [sys.executable, "-m", "vmcrawl", *command],
        input=b"vmst.io\n",
        env=env,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert finished.stdout == b"1 added, 0 known, 0 duplicates, 0 bad\n"


def test_the_ledger_is_listed_as_json_lines(env):
    vmcrawl("crawl", "vmst.io", env=env)
    (line,) = lines(vmcrawl("domains", "list", "--json", env=env))
    entry = json.loads(line)
    assert (entry["domain"], entry["outcome"], entry["source"]) == ("vmst.io", "dns_failure", "named")


def test_a_ledger_of_several_pages_is_listed_whole_and_up_to_the_limit(env, connection):
    listed = names(PAGE_SIZE + 3)
    ledger.add_domains(connection, listed, "test", NOW)
    for more, number in ((["--limit", str(PAGE_SIZE + 1)], PAGE_SIZE + 1), ([], PAGE_SIZE + 3)):
        entries = lines(vmcrawl("domains", "list", "--json", *more, env=env))
        assert [json.loads(entry)["domain"] for entry in entries] == listed[:number]


def test_show_says_why_a_domain_is_not_published(env):
    vmcrawl("crawl", "vmst.io", env=env)
    shown = "\n".join(lines(vmcrawl("show", "vmst.io", env=env)))
    assert "dns_failure" in shown
    assert "not published: no good answer is on record" in shown
    assert json.loads(lines(vmcrawl("show", "vmst.io", "--json", env=env))[0])["published"] is False


def test_an_unknown_domain_is_shown_what_to_do(env):
    finished = vmcrawl("show", "vmst.io", env=env)
    assert finished.returncode == 1
    assert "with: vmcrawl crawl vmst.io" in finished.stderr


def test_an_excluded_domain_gets_no_request_until_it_is_included_again(env):
    assert vmcrawl("domains", "exclude", "vmst.io", "--reason", "asked", env=env).returncode == 0
    assert json.loads(lines(vmcrawl("crawl", "--json", "vmst.io", env=env))[0])["outcomes"] == {"excluded": 1}
    assert "excluded from all crawls" in vmcrawl("show", "vmst.io", env=env).stdout
    checked = vmcrawl("check", "vmst.io", "--json", env=env)
    document = json.loads(lines(checked)[0])
    assert (document["steps"], document["observation"]["outcome"]) == ([], "excluded")
    assert lines(vmcrawl("domains", "include", "vmst.io", env=env)) == ["vmst.io: no longer excluded"]
    assert json.loads(lines(vmcrawl("crawl", "--json", env=env))[0])["outcomes"] == {"dns_failure": 1}


def test_domains_are_made_due_by_outcome(env):
    vmcrawl("crawl", "vmst.io", env=env)
    assert json.loads(lines(vmcrawl("crawl", "--json", env=env))[0])["planned"] == 0
    assert lines(vmcrawl("domains", "requeue", "--outcome", "dns_failure", env=env)) == ["1 domains are due now"]
    assert json.loads(lines(vmcrawl("crawl", "--json", env=env))[0])["planned"] == 1


def test_check_prints_each_step_and_writes_nothing(env):
    finished = vmcrawl("check", "vmst.io", env=env)
    assert "https://vmst.io/robots.txt" in lines(finished)[0]
    assert "dns_failure" in finished.stdout
    assert lines(vmcrawl("domains", "list", "--json", env=env)) == []


def test_status_and_migrate_speak(env):
    assert lines(vmcrawl("migrate", env=env)) == ["nothing to apply"]
    assert json.loads(lines(vmcrawl("migrate", "--json", env=env))[0]) == {"applied": []}
    vmcrawl("crawl", "vmst.io", env=env)
    assert "dns_failure" in "\n".join(lines(vmcrawl("status", env=env)))
    assert json.loads(lines(vmcrawl("status", "--json", env=env))[0])["outcomes"] == {"dns_failure": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ["crawl", "not a name"],
        ["crawl", "--all", "vmst.io"],
        ["crawl", "--limit", "0"],
        ["crawl", "--limit", "many"],
        ["crawl", "--max-duration", "soon"],
        ["check", "127.0.0.1"],
        ["show", "localhost"],
        ["domains", "requeue"],
        ["domains", "exclude", "1.2.3.4"],
        ["domains"],
        ["fly"],
        [],
    ],
)
def test_a_wrong_word_is_wrong_usage(arguments, env):
    finished = vmcrawl(*arguments, env=env)
    assert finished.returncode == 2
    assert finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["dni", "add", "vmst.io"], {"domain": "vmst.io", "taken_down": 0}),
        (["releases", "set-branch", "4.4", "--support", "eol"], {"branch": "4.4", "support": "eol"}),
        (["advisories", "override", "GHSA-ccpr-m53r-mfwr", "--ranges", "< 4.4.9"], {"ghsa_id": "GHSA-ccpr-m53r-mfwr"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_change_has_brought_is_told_in_json_too(arguments, told, env):
    document = json.loads(lines(vmcrawl(*arguments, "--json", env=env))[0])
    assert told.items() <= document.items()


def test_a_file_that_is_not_there_is_no_traceback(env):
    for arguments in (["domains", "import", "/nowhere/names.txt"], ["crawl", "--file", "/nowhere/names.txt"]):
        finished = vmcrawl(*arguments, env=env)
        assert finished.returncode == 1
        assert "/nowhere/names.txt" in finished.stderr
        assert "Traceback" not in finished.stderr


def test_a_bad_setting_is_a_configuration_error_that_names_file_line_and_key(env, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("crawl:\n  threads: 8\n  proceses: 4\n")
    finished = vmcrawl("--config", str(config), "status", env=env)
    assert finished.returncode == 78
    assert f"{config}" in finished.stderr
    assert "line 3" in finished.stderr or ":3" in finished.stderr
    assert "proceses" in finished.stderr


@pytest.mark.parametrize(
    ("url", "code"),
    [("postgresql://nobody@127.0.0.1:9/nothing", 75), ("postgresql://nobody@127.0.0.1:9/x?bogus=1", 78)],
)
def test_a_database_that_is_not_there_is_worth_another_try_but_a_bad_url_is_not(env, url, code):
    finished = vmcrawl("crawl", "vmst.io", env={**env, "VMCRAWL_DATABASE_URL": url})
    assert finished.returncode == code
    assert "Traceback" not in finished.stderr


def test_a_lock_file_that_is_not_ours_is_a_clear_error(env, tmp_path):
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    (runtime / f"vmcrawl-{os.geteuid()}.lock").symlink_to(tmp_path / "elsewhere")
    finished = vmcrawl("crawl", "vmst.io", env={**env, "XDG_RUNTIME_DIR": str(runtime)})
    assert finished.returncode == 78
    assert "lock file" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"vmcrawl {__version__}\n"


def test_logs_can_be_json_lines(env):
    finished = vmcrawl("crawl", "vmst.io", env={**env, "VMCRAWL_LOG_FORMAT": "json"})
    assert lines(finished)
    assert all(json.loads(line)["level"] for line in finished.stderr.splitlines())
