"""``compose.yaml`` starts all of vmcrawl, and lets nobody in or out who should not be."""

import re
import shutil

import pytest
import yaml

from tests.deploy.composed import composed, faults_of_compose
from tests.deploy.tools import DEPLOY, ROOT, ask
from tests.promtool import promtool
from vmcrawl.config import load_config

COMPOSE = (DEPLOY / "compose.yaml").read_text()


def test_there_is_no_fault_with_the_composition():
    assert faults_of_compose(COMPOSE) == []


@pytest.mark.parametrize(
    ("whole", "changed", "said"),
    [
        ("services:\n", "servises:\n", "servises"),
        ("    user: ", "    usr: ", "usr"),
        (r"condition: service_healthy", "condition: service_fine", "must be one of"),
        (r"  read_only: true\n", "", "its root"),
        (r"  cap_drop: \[ALL\]\n", "", "capabilities"),
        (r"    mem_limit: 256m", "    cap_add: [NET_ADMIN]\n    mem_limit: 256m", "exporter: has capabilities"),
        (r"    mem_limit: 256m", "    privileged: true\n    mem_limit: 256m", "exporter: has capabilities"),
        (r"no-new-privileges:true", "seccomp:unconfined", "gain privileges"),
        (r"restart: unless-stopped", "restart: always", "restarts"),
        (r"    mem_limit: 256m\n", "", "no limits"),
        (r"    pids_limit: 8192\n", "", "no limits"),
        (r"max-size: 10m, ", "", "logs without end"),
        (r"    stop_grace_period: 2m\n", "", "ten seconds"),
        (r"(postgres:18.6-bookworm)@sha256:\w+", r"\1", "digest"),
        (r"prom/prometheus:v3.13.3", "prom/prometheus:latest", "exact tag"),
        (r'    user: "999:999"\n', "", "runs as root"),
        (r'    user: "472:0"', '    user: "0:0"', "runs as root"),
        (r"vmcrawl:0.1.0", "vmcrawl:0.2.0", "0.2.0"),
        (r"127.0.0.1:3000\}", "0.0.0.0:3000}", "to everybody"),
        (r"127.0.0.1:3000\}", "3000}", "to everybody"),
        (r"    networks: \[metrics\]\n", '    networks: [metrics]\n    ports: ["127.0.0.1:9090:9090"]\n', "published"),
        (r"    networks: \[database\]\n", "    networks: [database, egress]\n", "can leave by egress"),
        (r"database: \{internal: true\}", "database: {}", "can leave by database"),
        (r"  egress:\n", "  egress:\n    internal: true\n", "leads nowhere"),
        (r"networks: \[database, metrics, web\]", "network_mode: host", "no network of its own"),
        (r"enable_ip_masquerade: \"false\"", 'enable_ip_masquerade: "true"', "reaches the internet"),
        (r"./prometheus/rules.yaml", "./prometheus/rulez.yaml", "is not there"),
        (r"./secrets/github_token", "./github_token", "deploy/secrets"),
        (r"(?s)  github_token: .*", "", "github_token"),
        (r"    secrets: \[exporter_database_password\]\n", "", "other secrets"),
        (r"database_password, github_token", "database_password, github_token, postgres_password", "other secrets"),
        (r"DATABASE_PASSWORD_FILE: /run/secrets/\w+", "DATABASE_PASSWORD: hunter2", "plain sight"),
        (r"vmcrawl_exporter@", "vmcrawl_exporter:hunter2@", "plain sight"),
        (r"(PASSWORD_FILE: /run/secrets/)database_password", r"\1postgres_password", "not mounted"),
        (r"\$\$__file\{/run/secrets/grafana_database", "$$__file{/run/secrets/grafana", "not mounted"),
        (r'    volumes: \["grafana:/var/lib/grafana"\]\n', "", "keeps"),
        (r"<<: \[\*asking, \*vmcrawl\]", "<<: [*vmcrawl]", "keeps"),
        (r"&prepared\n    migrate: .*\n", "&prepared\n", "wait for the tables"),
        (r"migrate: \{condition: service_completed_successfully\}", "migrate: {condition: service_started}", "waits"),
        (r"(?s)    healthcheck:\n      test: \[CMD, pg_isready.*?1s\n", "", "in vain"),
        (r"CMD, pg_isready", "CMD-SHELL, pg_isready", "shell"),
        (r"--port=5432", "--port=5433", "port 5432"),
        (r"127.0.0.1:9877/-/healthy", "127.0.0.1:9876/-/healthy", "port 9877"),
        (r"127.0.0.1:3000/api", "grafana:3000/api", "port 3000"),
        (r"command: \[crawl, --every, 1h\]", "command: [crawl, --evry, 1h]", "--evry"),
        (r"command: \[crawl, --every, 1h\]", "command: [crawl, --every, hourly]", "hourly"),
        (r"command: \[migrate\]", "command: [vmcrawl, migrate]", "invalid choice"),
        (r"VMCRAWL_SOURCES_TOKEN_FILE", "VMCRAWL_SOURCES_TOCKEN_FILE", "sources.tocken"),
        (r"    VMCRAWL_DATABASE_URL", "    VMCRAWL_LOG_LEVEL: loud\n    VMCRAWL_DATABASE_URL", "loud"),
        (r"--listen, \"0.0.0.0:9877\"", '--listen, "127.0.0.1:9877"', "nobody looks"),
        (r"vmcrawl_exporter@postgres", "vmcrawl@postgres", "somebody else"),
        (r"vmcrawl@postgres:5432", "vmcrawl@db:5432", "another database"),
        (r"    VMCRAWL_HTTP_CONTACT: .*\n", "", "who asks"),
        (r"      XDG_RUNTIME_DIR: /run/vmcrawl\n", "", "no other crawler"),
        (r"(?m)^  tmpfs: .*\n", "", "no /tmp"),
        (r"(?m)^  exporter:\n", "  metrics:\n", "nobody is at exporter:9877"),
        (r"networks: \[database, metrics\]", "networks: [database]", "does not reach exporter"),
        (r"--storage.tsdb.retention.time=400d", "--storage.tsdb.retention.time=15d", "forgets"),
        (r"/etc/prometheus/rules.yaml", "/etc/prometheus/other.yaml", "no rules"),
        (r"      VMCRAWL_GRAFANA_POSTGRES_SSLMODE: disable\n", "", "SSLMODE"),
        (r"public/adoption.json", "private/adoption.json", "adoption"),
        (r"provisioning/datasources/vmcrawl.yaml\}\n", "provisioning/sources.yaml}\n", "is not there"),
        (r"(target: /etc/grafana/provisioning/)datasources", r"\1sources", "no datasources"),
        (r"http://prometheus:9090", "http://prometheus:9091", "where prometheus is"),
        (r"networks: \[database, metrics, web\]", "networks: [metrics, web]", "does not reach postgres"),
    ],
)
def test_a_composition_with_something_wrong_is_noticed(whole, changed, said):
    mutant = re.sub(whole, changed, COMPOSE)
    assert mutant != COMPOSE
    assert said in "\n".join(faults_of_compose(mutant))


def test_nothing_starts_without_a_contact():
    _, said = composed(COMPOSE, VMCRAWL_HTTP_CONTACT="")
    assert "set it in deploy/.env to a page or address where you can be reached" in said


def test_what_may_be_set_is_what_the_example_explains():
    used = set(re.findall(r"\$\{(VMCRAWL_\w+)", COMPOSE)) - {"VMCRAWL_REVISION"}
    assert used == set(re.findall(r"^#?(VMCRAWL_\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))


def test_another_address_and_other_settings_can_be_given():
    project, said = composed(
        COMPOSE,
        VMCRAWL_GRAFANA_LISTEN="[::]:8080",
        VMCRAWL_CONFIG_FILE="./mine.yaml",
        VMCRAWL_CRAWLER_MEMORY="8g",
        VMCRAWL_IPV6="true",
    )
    assert not said
    assert project["services"]["grafana"]["ports"][0]["host_ip"] == "::"
    assert project["configs"]["settings"]["file"] == str(DEPLOY / "mine.yaml")
    assert project["services"]["crawler"]["mem_limit"] == str(8 << 30)
    assert project["networks"]["egress"]["enable_ipv6"] is True


def test_the_shipped_settings_can_be_read():
    assert load_config(DEPLOY / "compose" / "vmcrawl.yaml", {}, {}).log.format == "json"


def test_what_the_shipped_settings_propose_can_be_read(tmp_path):
    shipped = (DEPLOY / "compose" / "vmcrawl.yaml").read_text()
    proposed = re.sub(r"(?m)^#(?=\w+:$|  )", "", shipped)
    assert proposed != shipped
    (tmp_path / "vmcrawl.yaml").write_text(proposed)
    assert load_config(tmp_path / "vmcrawl.yaml", {}, {}) != load_config(None, {}, {})


def test_prometheus_takes_its_configuration_as_it_is_mounted(tmp_path):
    project, _ = composed(COMPOSE)
    for each in project["services"]["prometheus"]["configs"]:
        place = tmp_path / each["target"].lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project["configs"][each["source"]]["file"], place)
    verdict = promtool("check", "config", tmp_path / "etc" / "prometheus" / "prometheus.yml")
    assert verdict.fine, verdict.said
    assert "rules found" in verdict.said


def test_prometheus_scrapes_as_the_example_does():
    ours = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    example = yaml.safe_load((DEPLOY / "prometheus" / "scrape-config.example.yaml").read_text())
    assert ours["scrape_configs"][0].pop("static_configs") != example["scrape_configs"][0].pop("static_configs")
    assert ours == example


@pytest.mark.parametrize("script", ["up", "compose/postgres/roles.sh"])
def test_shellcheck_finds_no_fault_with_the_scripts(script):
    answer = ask("shellcheck", "--shell=sh", "--enable=all", "--exclude=SC2250,SC2310,SC2312", DEPLOY / script)
    assert answer.code == 0, answer.out
    assert (DEPLOY / script).stat().st_mode & 0o111 == 0o111


def test_secrets_and_settings_of_an_operator_get_into_no_commit():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/deploy/.env", "/deploy/secrets/"} <= set(ignored)
