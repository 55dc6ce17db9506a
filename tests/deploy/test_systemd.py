"""The units for systemd start what there is, are content when it ends as it should, and give it little to break."""

import re

import pytest

from tests.deploy.units import UNITS, faults_of_units
from vmcrawl.config import load_config

SHIPPED = {path.name: path.read_text() for path in sorted(UNITS.iterdir()) if path.suffix in (".service", ".timer")}


def test_there_is_no_fault_with_the_units():
    assert len(SHIPPED) == 7
    assert faults_of_units(SHIPPED) == []


@pytest.mark.parametrize(
    ("name", "whole", "changed", "said"),
    [
        ("crawl.service", "Type=exec", "Type=exe", "service type"),
        ("crawl.service", "TasksMax=8192", "TaskMax=8192", "TaskMax"),
        ("crawl.service", "ExecStart=/opt/vmcrawl/bin/vmcrawl", "ExecStart=/usr/bin/vmcrawl", "/usr/bin/vmcrawl"),
        ("crawl.service", "vmcrawl crawl", "vmcrawl crawl --hourly", "--hourly"),
        ("crawl.service", "SuccessExitStatus=143\n", "", "when it is stopped"),
        ("crawl.service", "KillMode=mixed\n", "", "the signal"),
        ("crawl.service", "RestartForceExitStatus=75", "RestartForceExitStatus=75 78", "come again"),
        ("crawl.service", "SuccessExitStatus=143", "SuccessExitStatus=143\nRestart=always", "its timer does"),
        ("crawl.service", "User=vmcrawl", "User=root", "somebody else"),
        ("crawl.service", "MemoryMax=75%\n", "", "what it can get"),
        ("crawl.service", "OOMPolicy=continue\n", "", "killed for its memory"),
        ("crawl.service", "RuntimeDirectory=vmcrawl\n", "", "no other crawler"),
        ("crawl.service", "192.168.0.0/16 ", "", "192.168.0.0/16"),
        ("crawl.service", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/16"),
        ("crawl.service", "2002::/16", "9.9.9.0/24", "9.9.9.0/24"),
        ("crawl.service", "IPAddressAllow=localhost\n", "", "this machine"),
        ("crawl.service", "database-password:/etc/vmcrawl/", "database-password:/home/me/", "/home/me"),
        ("crawl.service", "=%d/database-password", "=%d/password", "VMCRAWL_DATABASE_PASSWORD_FILE"),
        ("crawl.service", "DATABASE_PASSWORD_FILE", "DATABASE_PASWORD_FILE", "database.pasword"),
        ("crawl.service", "(?s)AmbientCapabilities=.*(?=UMask)", "", "exposure"),
        ("crawl.service", "SystemCallFilter=.*\n", "", "exposure"),
        ("crawl.service", "ProtectSystem=strict\nRemoveIPC=yes\nRestrictAddress.*\n", "", "exposure"),
        ("crawl.service", "CapabilityBoundingSet=\n", "", "exposure"),
        ("exporter.service", "IPAddressDeny=any\n", "", "from elsewhere"),
        ("exporter.service", "Restart=always\n", "", "though nobody does"),
        ("exporter.service", "RestartPreventExitStatus=2 78\n", "", "configuration is wrong"),
        ("exporter.service", r"\[Install\]\nWantedBy.*\n", "", "cannot be enabled"),
        ("exporter.service", "VMCRAWL_EXPORTER_DATABASE", "VMCRAWL_DATABASE", "the owner's"),
        ("refresh.service", "github-token:/etc/vmcrawl/github-token", "token:/etc/vmcrawl/token", "SOURCES_TOKEN"),
        ("crawl.timer", r"OnCalendar=.*", "OnCalendar=hourly o'clock", "o'clock"),
        ("crawl.timer", "Persistent=true\n", "", "night"),
        ("crawl.timer", "RandomizedDelaySec=3min\n", "", "all others"),
        ("crawl.timer", "WantedBy=timers.target\n", "", "enabled"),
    ],
)
def test_a_unit_with_something_wrong_is_noticed(name, whole, changed, said):
    text = SHIPPED[f"vmcrawl-{name}"]
    mutant = re.sub(whole, changed, text)
    assert mutant != text
    assert said in "\n".join(faults_of_units({**SHIPPED, f"vmcrawl-{name}": mutant}))


def test_a_timer_without_its_service_is_noticed():
    alone = {name: text for name, text in SHIPPED.items() if name != "vmcrawl-refresh.service"}
    assert "vmcrawl-refresh.timer: starts nothing" in faults_of_units(alone)


def test_the_example_of_the_environment_can_be_read():
    lines = re.findall(r"^#?(VMCRAWL_\w+)=(.*)$", (UNITS / "vmcrawl.env.example").read_text(), re.MULTILINE)
    environment = {name: value for name, value in lines if name != "VMCRAWL_CONFIG"}
    assert load_config(None, environment, {}).http.contact.startswith("https://")
    assert not [name for name in environment if re.search("PASSWORD|TOKEN", name)]
