import dataclasses
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vmcrawl.config import ConfigError, load_config
from vmcrawl.settings import Settings, user_agent

SHIPPED = Path(__file__).parents[1] / "config.yaml"
NAMES = {
    section.name: dataclasses.fields(getattr(Settings(), section.name)) for section in dataclasses.fields(Settings)
}


@pytest.fixture
def written(tmp_path):
    """A function that writes a configuration file and returns its path."""

    def write(text):
        path = tmp_path / "vmcrawl.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def problems(path, environment=None, overrides=None):
    with pytest.raises(ConfigError) as error:
        load_config(path, environment or {}, overrides or {})
    return str(error.value).splitlines()


def test_the_shipped_file_shows_every_key_with_its_default():
    shown = yaml.safe_load(SHIPPED.read_text())
    assert {section: list(keys) for section, keys in shown.items()} == {
        section: [field.name for field in fields] for section, fields in NAMES.items()
    }
    assert load_config(SHIPPED, {}, {}) == load_config(None, {}, {})


def test_the_shipped_file_has_a_comment_above_every_key():
    lines = SHIPPED.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if line.startswith("  ") and not line.startswith("  #")]
    assert len(keys) == sum(map(len, NAMES.values()))
    assert [lines[number] for number in keys if not lines[number - 1].startswith("  # ")] == []


def test_without_any_source_the_defaults_hold_and_the_home_directory_is_filled_in():
    settings = load_config(None, {}, {})
    assert settings.database.directory == Path("~/.local/share/vmcrawl/postgres").expanduser()
    defaults = Settings()
    assert dataclasses.replace(settings, database=defaults.database) == defaults


def test_every_default_can_be_written_back_as_a_value():
    for section, fields in NAMES.items():
        for field in fields:
            value = getattr(getattr(Settings(), section), field.name)
            load_config(None, {}, {(section, field.name): "" if value is None else value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "---\n",
        "http:\n",
        "http: {}\n",
        "\ufeffhttp:\n  contact: operator-has-set-no-contact\n",
    ],
)
def test_an_empty_file_means_the_defaults(written, text):
    assert load_config(written(text), {}, {}) == load_config(None, {}, {})


def test_a_later_source_wins(written):
    path = written("crawl:\n  threads: 1\n  processes: 1\n  grace: 1s\nhttp:\n  contact: file\n")
    environment = {"VMCRAWL_CRAWL_THREADS": "2", "VMCRAWL_CRAWL_PROCESSES": "2"}
    settings = load_config(path, environment, {("crawl", "threads"): 3, ("crawl", "processes"): None})
    assert settings.crawl.threads == 3
    assert settings.crawl.processes == 2
    assert settings.crawl.grace == timedelta(seconds=1)
    assert settings.http.contact == "file"


def test_the_environment_names_the_file_unless_the_command_line_does(written, tmp_path):
    path = written("crawl: {threads: 5}")
    assert load_config(None, {"VMCRAWL_CONFIG": str(path)}, {}).crawl.threads == 5
    other = tmp_path / "other.yaml"
    other.write_text("crawl: {threads: 6}")
    assert load_config(other, {"VMCRAWL_CONFIG": str(path)}, {}).crawl.threads == 6
    assert load_config(None, {"VMCRAWL_CONFIG": ""}, {}).crawl.threads == 0


VALUES = [
    ("database.url", "postgresql://u:p@h/db?x=1", "postgresql://u:p@h/db?x=1"),
    ("database.directory", "~/pg", Path("~/pg").expanduser()),
    ("http.request_timeout", "1m30s", timedelta(seconds=90)),
    ("http.request_timeout", "2.5", timedelta(seconds=2.5)),
    ("http.max_wire_bytes", "1_048_576", 1 << 20),
    ("http.user_agent", "bot/{version} ({contact}; {contact})", "bot/{version} ({contact}; {contact})"),
    ("network.ca_file", str(SHIPPED), SHIPPED),
    ("network.ca_file", "", None),
    (
        "network.allow_addresses",
        "127.0.0.0/8, ::1,10.1.2.3",
        tuple(map(ip_network, ("127.0.0.0/8", "::1/128", "10.1.2.3/32"))),
    ),
    ("network.nameservers", "127.0.0.1:5353,::1,[::1]:53,9.9.9.9", ("127.0.0.1:5353", "::1", "[::1]:53", "9.9.9.9")),
    ("network.nameservers", "", ()),
    ("exporter.listen", "[::]:9877,localhost:1,:80", ("[::]:9877", "localhost:1", ":80")),
    ("schedule.jitter", "0.25", 0.25),
    ("schedule.jitter", "0", 0.0),
    ("publish.history_drop", "0.5", 0.5),
    ("crawl.max_duration", "0", timedelta(0)),
    ("sources.github_api", "https://ghe.example:8443/api/v3/", "https://ghe.example:8443/api/v3"),
    ("sources.github_raw", "http://127.1.2.3:80", "http://127.1.2.3:80"),
    ("sources.endoflife", "http://[::1]/api", "http://[::1]/api"),
    ("sources.token", "github_pat_1", "github_pat_1"),
    ("log.level", "DEBUG", "debug"),
    ("log.format", "json", "json"),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_a_value_reads_the_same_from_file_environment_and_command_line(written, name, text, value):
    section, key = name.split(".")
    sources = [
        load_config(written(yaml.safe_dump({section: {key: text}})), {}, {}),
        load_config(None, {f"VMCRAWL_{section}_{key}".upper(): text}, {}),
        load_config(None, {}, {(section, key): text}),
        load_config(None, {}, {(section, key): value}) if value is not None else load_config(None, {}, {}),
    ]
    assert [getattr(getattr(settings, section), key) for settings in sources] == [value] * 4


def test_plain_yaml_scalars_and_lists_are_read(written):
    path = written(
        "crawl:\n  grace: 3\n  domain_timeout: 1.5\n  robots_lifetime: 3h\nschedule:\n  jitter: .\n".replace(
            "jitter: .", "jitter: 0.5"
        )
        + "network:\n  allow_addresses: [127.0.0.0/8, fd00::/8]\n  nameservers:\n    - 127.0.0.1:53\n  ca_file: null\n"
    )
    settings = load_config(path, {}, {})
    assert settings.crawl.grace == timedelta(seconds=3)
    assert settings.crawl.domain_timeout == timedelta(seconds=1.5)
    assert settings.crawl.robots_lifetime == timedelta(hours=3)
    assert settings.schedule.jitter == 0.5
    assert settings.network.allow_addresses == (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.network.nameservers == ("127.0.0.1:53",)


BAD_VALUES = {
    "http.request_timeout": ["soon", "-1s", "0", "", "2h", "1d"],
    "http.connect_timeout": ["5 s", "nan"],
    "http.max_wire_bytes": ["-1", "1.5", "many", "0x10", "1e6", "0", "9" * 30, "1__0", "True"],
    "http.user_agent": ["", "a\r\nX: y", "ü", "{versio}", "{}", "{version", "}", "\x7f"],
    "http.contact": ["a\nb", "☃"],
    "http.robots_agent": ["", "a b", "vmcrawl/1", "*", "ü"],
    "network.port": ["0", "65536", "https"],
    "network.requests_per_address": ["0"],
    "network.allow_addresses": ["10.0.0.1/8", "localhost", "10.0.0.0/33", "10.0.0.0/8;::1"],
    "network.nameservers": ["dns.example", "127.0.0.1:0", "127.0.0.1:65536", "[::1]", "[127.0.0.1]:53", "1.1.1.1:x"],
    "network.ca_file": ["/nowhere/ca.pem", "/"],
    "crawl.processes": ["-1", "1000"],
    "crawl.robots_lifetime": ["25h"],
    "schedule.ok": ["0", "200000d"],
    "schedule.jitter": ["1", "-0.1", "nan", "1e-1", "a tenth"],
    "publish.max_active_users": ["0", "999999999999"],
    "publish.history_drop": ["1.1", "20%", "-0.2"],
    "sources.github_api": [
        "http://a.example",
        "http://10.0.0.1",
        "a.example",
        "https://a@b",
        "https://a/?q",
        "file:///",
    ],
    "sources.token": ["two words", "ü", "a\nX: y", "x" * 301],
    "exporter.listen": ["9877", "localhost", "127.0.0.1:0", "a b:1"],
    "database.directory": ["", "~nobody-of-this-name/x", "a\0b"],
    "database.url": ["postgresql://\0"],
    "log.level": ["loud", ""],
    "log.format": ["xml"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD_VALUES.items() for text in texts])
def test_a_bad_value_is_named_with_its_place(written, name, text):
    section, key = name.split(".")
    path = written(f"# why\n{section}:\n  {key}: {yaml.safe_dump(text, default_style=chr(34)).strip()}\n")
    (from_file,) = problems(path)
    assert from_file.startswith(f"{path}, line 3: {name} ")
    variable = f"VMCRAWL_{section}_{key}".upper()
    (from_environment,) = problems(None, {variable: text})
    assert from_environment.startswith(f"{variable}: {name} ")
    (from_command_line,) = problems(None, overrides={(section, key): text})
    assert from_command_line.startswith(f"command line: {name} ")
    assert len(from_file) < len(str(path)) + 200


def test_a_negative_length_of_time_from_the_command_line_is_refused():
    assert "crawl.grace" in problems(None, overrides={("crawl", "grace"): timedelta(seconds=-1)})[0]


def test_a_password_in_a_bad_url_is_not_shown():
    assert "secret" not in problems(None, {"VMCRAWL_DATABASE_URL": "postgresql://u:secret@h/\n/"})[0]
    assert "secret" not in problems(None, {"VMCRAWL_SOURCES_ENDOFLIFE": "https://u:secret@h/"})[0]
    assert "secret" not in problems(None, {"VMCRAWL_SOURCES_TOKEN": "secret token"})[0]


STRUCTURES = {
    "crawl:\n  thread: 5": (2, "'crawl.thread' is no setting; did you mean crawl.threads?"),
    "crawl:\n  contact: me": (2, "'crawl.contact' is no setting; did you mean http.contact?"),
    "crawl:\n  zzz: 5": (2, "'crawl.zzz' is no setting"),
    "craw:\n  threads: 5": (1, "'craw' is no section; did you mean crawl?"),
    "zzz: 1": (1, "'zzz' is no section"),
    "crawl: 5": (1, "crawl expects keys, each with a value"),
    "crawl: [threads]": (1, "crawl expects keys, each with a value"),
    "- crawl": (1, "the file expects keys, each with a value"),
    "just text": (1, "the file expects keys, each with a value"),
    "crawl:\n  threads: 1\n  threads: 2": (3, "'crawl.threads' stands here for the second time"),
    "crawl:\n  threads: 1\nlog:\ncrawl:\n  threads: 2": (4, "'crawl' stands here for the second time"),
    "crawl:\n  [a]: 1": (2, "a key must be a plain word"),
    "crawl:\n  threads: [1]": (2, "crawl.threads expects one value, not a list"),
    "crawl:\n  threads: []": (2, "crawl.threads expects one value, not a list"),
    "crawl:\n  threads: {a: 1}": (2, "crawl.threads expects a value, or a list of values"),
    "network:\n  nameservers: [[1.1.1.1]]": (2, "network.nameservers expects a value, or a list of values"),
    "crawl: &a\n  threads: 1": (1, "anchors, aliases and tags are refused"),
    "crawl:\n  threads: !!python/object/apply:os.getpid []": (2, "anchors, aliases and tags are refused"),
    "crawl:\n  threads: 1\n bad": (3, "not YAML: "),
    "crawl: {": (1, "not YAML: "),
    "crawl:\n\tthreads: 1": (2, "not YAML: "),
    "a: 1\n---\nb: 2": (2, "not YAML: "),
}


@pytest.mark.parametrize(("text", "line", "problem"), [(text, *expected) for text, expected in STRUCTURES.items()])
def test_a_mistake_in_the_file_is_named_with_its_line(written, text, line, problem):
    path = written(text)
    (found,) = problems(path)
    assert found.startswith(f"{path}, line {line}: {problem}")


UNREADABLE = {
    "latin 1": "contact: ü".encode("latin-1"),
    "control": b"a: \x00",
    "huge": b"#" * (1 << 18) + b"\n",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_configuration_is_named(written, content):
    path = written(content)
    (found,) = problems(path)
    assert found.startswith(str(path))


def test_a_file_that_is_missing_is_named(tmp_path):
    assert problems(tmp_path / "none.yaml") == [f"{tmp_path / 'none.yaml'}: No such file or directory"]
    assert problems(None, {"VMCRAWL_CONFIG": str(tmp_path)}) == [f"{tmp_path}: Is a directory"]


def test_all_mistakes_of_all_sources_are_told_at_once(written):
    path = written("crawl:\n  thread: 1\n  grace: soon\nlog: {level: loud}\n")
    found = problems(path, {"VMCRAWL_HTTP_CONTCT": "me"}, {("crawl", "threads"): -1})
    assert [problem.split(": ")[0] for problem in found] == [
        f"{path}, line 2",
        f"{path}, line 3",
        f"{path}, line 4",
        "VMCRAWL_HTTP_CONTCT",
        "command line",
    ]


def test_variables_that_are_not_settings_are_left_alone():
    environment = {
        "VMCRAWL_TEST_DSN": "x",
        "VMCRAWL_SOMETHING_ELSE": "x",
        "PATH": "/bin",
        "vmcrawl_crawl_thread": "1",
        # Kubernetes adds these for a service named vmcrawl-exporter.
        "VMCRAWL_EXPORTER_SERVICE_HOST": "10.0.0.1",
        "VMCRAWL_EXPORTER_SERVICE_PORT_METRICS": "9877",
        "VMCRAWL_EXPORTER_PORT": "tcp://10.0.0.1:9877",
        "VMCRAWL_EXPORTER_PORT_9877_TCP_ADDR": "10.0.0.1",
    }
    assert load_config(None, environment, {}) == load_config(None, {}, {})


@pytest.mark.parametrize(
    "variable", ["VMCRAWL_CRAWL_THREAD_FILE", "VMCRAWL_CRAWL_THREAD", "VMCRAWL_CRAWL_", "VMCRAWL_CRAWL"]
)
def test_a_mistyped_variable_of_a_section_is_an_error(variable):
    (found,) = problems(None, {variable: "1"})
    assert found.startswith(f"{variable}: ")


def test_the_user_agent_says_who_and_why():
    settings = load_config(None, {"VMCRAWL_HTTP_CONTACT": "https://a.example/{version}"}, {})
    assert user_agent(settings.http, "1.2") == "vmcrawl/1.2 (+https://a.example/{version})"


@given(st.binary() | st.text().map(str.encode))
def test_no_file_does_anything_but_load_or_be_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "arbitrary.yaml"
    path.write_bytes(content)
    try:
        load_config(path, {}, {})
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert message.startswith(str(path))
