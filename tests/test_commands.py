"""All commands: each says what it is for, with an example that can be given; what it shows, it shows as JSON, too."""

import argparse
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile

import pytest

from vmcrawl.cli import _parser
from vmcrawl.commands.display import write_json
from vmcrawl.commands.number import read_positive

#: Whoever adds a command says what it is: one that only shows, one that changes a thing or does a job that can be
#: looked at before (both with --json), or one that changes many things at once (with --dry-run, too).
SHOW = """
    check; show; status; domains list; domains exclusions; domains opt-outs; dni list; dni changes; releases show;
    advisories show; classify; history list; report; export
"""
CHANGE = """
    crawl; pause; resume; domains include; dni add; dni restore; refresh; releases refresh; releases set-branch;
    advisories refresh; advisories override; history invalidate; migrate
"""
CHANGE_MANY = """
    domains import; domains requeue; domains exclude; domains opt-out; discover; dni import; dni remove; prune
"""
#: What they write is for another program, or they write nothing.
NO_JSON = {
    "exporter": "serves until it is ended",
    "completion": "writes a script for a shell",
    "history export": "writes OpenMetrics",
    "about": "writes a page",
}


def leaves(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = (), said: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Name, parser and help of each command that can be given."""
    deeper = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not deeper:
        yield " ".join(path), parser, said
    for action in deeper:
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, each in action.choices.items():
            yield from leaves(each, (*path, name), helps.get(name, ""))


COMMANDS = {name: (parser, said) for name, parser, said in leaves(_parser())}
each_command = pytest.mark.parametrize("name", COMMANDS)


def names(text: str) -> set[str]:
    return {" ".join(name.split()) for name in text.split(";")}


def options(name: str) -> set[str]:
    return {option for action in COMMANDS[name][0]._actions for option in action.option_strings}


def examples(name: str) -> list[list[str]]:
    """The commands in the epilog, as a shell reads them, up to a remark behind spaces or to who gets the output."""
    found = []
    for text in re.findall(r"\bvmcrawl (?:(?!\bvmcrawl )[^\n])*", COMMANDS[name][0].epilog or ""):
        reader = shlex.shlex(re.split("  +", text)[0].rstrip("., "), posix=True, punctuation_chars=";>|")
        reader.whitespace_split = True
        words = list(takewhile(lambda word: not set(word) <= set(";>|"), reader))
        if words[1 : 1 + len(name.split())] == name.split():
            found.append(words)
    return found


@each_command
def test_a_command_says_what_it_is_for(name):
    assert len(COMMANDS[name][1]) > 10
    for action in COMMANDS[name][0]._actions:
        assert action.help or action.metavar or action.choices or not action.option_strings, action


@each_command
def test_a_command_has_an_example_that_can_be_given(name):
    assert examples(name), f"an epilog such as: for example:\\n  vmcrawl {name} ..."
    for example in examples(name):
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                _parser().parse_args(example[1:])
        except SystemExit:
            pytest.fail(f"{example}: {said.getvalue()}")


def test_every_command_is_known_for_what_it_does():
    known = [*names(SHOW), *names(CHANGE), *names(CHANGE_MANY), *NO_JSON]
    assert len(known) == len(set(known))
    assert set(COMMANDS) <= set(known), "say what it does, at the top of this file"


@each_command
def test_what_a_command_shows_is_there_as_json(name):
    assert ("--json" in options(name)) != (name in NO_JSON)


@pytest.mark.parametrize("name", sorted(names(CHANGE_MANY) & COMMANDS.keys()))
def test_what_changes_many_things_at_once_can_be_tried_before(name):
    assert "--dry-run" in options(name)


def test_an_example_is_found_wherever_it_stands():
    assert examples("advisories override")[0][-1] == ">= 4.2.0, < 4.2.5"
    assert examples("history export")[0][-1] == "2026-01-01"
    assert examples("discover")[0] == ["vmcrawl", "discover", "--limit", "20"]
    assert len(examples("discover")) == 3


@each_command
def test_an_example_can_be_copied_out_of_the_help(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown, epilog = COMMANDS[name][0].format_help().splitlines(), (COMMANDS[name][0].epilog or "").splitlines()
    assert {line for line in epilog if line.startswith("  ")} <= set(shown)
    assert any(line.startswith("for example:") and after.startswith("  vmcrawl ") for line, after in pairwise(shown))


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "٣", "9" * 5000])
def test_what_is_no_number_of_things_is_said_in_words(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no whole number of at least 1"):
        read_positive(text)


def test_json_says_moments_by_iso_8601_and_lengths_of_time_in_seconds():
    out = io.StringIO()
    moment = datetime(2026, 11, 26, 1, 2, 3, tzinfo=UTC)
    write_json(out, {"at": moment, "day": moment.date(), "took": timedelta(hours=1), "of": "a"})
    assert out.getvalue() == '{"at": "2026-11-26T01:02:03+00:00", "day": "2026-11-26", "took": 3600.0, "of": "a"}\n'
