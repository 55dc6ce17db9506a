"""Settings whose value stands in a file of its own, as orchestrators mount secrets."""

import pytest
import yaml

from tests.test_config import problems
from vmcrawl.config import load_config


def test_a_variable_that_ends_in_file_names_a_file_that_holds_the_value(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("correct horse\n")
    settings = load_config(None, {"VMCRAWL_DATABASE_PASSWORD_FILE": str(secret)}, {})
    assert settings.database.password == "correct horse"
    assert "correct horse" not in repr(settings)
    # A key that ends so itself is no such thing, and what is not set is not there.
    assert load_config(None, {"VMCRAWL_NETWORK_CA_FILE": str(secret)}, {}).network.ca_file == secret
    assert load_config(None, {"VMCRAWL_DATABASE_PASSWORD_FILE": ""}, {}) == load_config(None, {}, {})


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_spaces_are_a_part_of_a_password_but_the_end_of_the_line_is_not(tmp_path, start, ending):
    secret = tmp_path / "password"
    secret.write_bytes(f"{start} two words {ending}".encode())
    for name in ("database.password", "exporter.database_password"):
        section, key = name.split(".")
        written = tmp_path / "vmcrawl.yaml"
        written.write_text(yaml.safe_dump({section: {key: " two words "}}))
        variable = f"VMCRAWL_{section}_{key}".upper()
        for settings in (
            load_config(None, {f"{variable}_FILE": str(secret)}, {}),
            load_config(None, {variable: " two words "}, {}),
            load_config(written, {}, {}),
        ):
            assert getattr(getattr(settings, section), key) == " two words "
    # A token has none, so that what stands around it was never meant.
    secret.write_text(" github_pat_1 \n")
    assert load_config(None, {"VMCRAWL_SOURCES_TOKEN_FILE": str(secret)}, {}).sources.token == "github_pat_1"


def test_a_file_that_a_variable_names_may_be_empty_but_neither_a_directory_nor_huge(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("\n")
    assert load_config(None, {"VMCRAWL_SOURCES_TOKEN_FILE": str(secret)}, {}).sources.token == ""
    (directory,) = problems(None, {"VMCRAWL_DATABASE_PASSWORD_FILE": str(tmp_path)})
    assert directory == f"VMCRAWL_DATABASE_PASSWORD_FILE: {tmp_path}: Is a directory"
    secret.write_text("x" * (1 << 20))
    (huge,) = problems(None, {"VMCRAWL_DATABASE_PASSWORD_FILE": str(secret)})
    assert "larger than 256 KiB" in huge
    assert len(huge) < 300
    secret.write_bytes(b"\xff\xfes\x00")
    assert "not UTF-8" in problems(None, {"VMCRAWL_DATABASE_PASSWORD_FILE": str(secret)})[0]


def test_a_file_that_a_variable_names_must_be_there_be_sound_and_be_the_only_source(tmp_path):
    secret = tmp_path / "password"
    missing = problems(None, {"VMCRAWL_DATABASE_PASSWORD_FILE": str(secret)})
    assert missing == [f"VMCRAWL_DATABASE_PASSWORD_FILE: {secret}: No such file or directory"]
    secret.write_text("secret\nsecret")
    (two_lines,) = problems(None, {"VMCRAWL_DATABASE_PASSWORD_FILE": str(secret)})
    assert two_lines.startswith("VMCRAWL_DATABASE_PASSWORD_FILE: database.password must be one line")
    assert "secret" not in two_lines
    both = problems(None, {"VMCRAWL_SOURCES_TOKEN_FILE": str(secret), "VMCRAWL_SOURCES_TOKEN": "x"})
    assert both == ["VMCRAWL_SOURCES_TOKEN_FILE: VMCRAWL_SOURCES_TOKEN is set, too: one of them has to go"]
