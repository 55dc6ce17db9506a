"""``vmcrawl exporter`` as a process."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import bcrypt
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.exporter.certificates import Issuer
from tests.exporter.clients import ask, trusting
from tests.exporter.test_server import free_port
from tests.program import environment, start, vmcrawl
from tests.prometheus import needed
from tests.servers import eventually

#: Nobody listens there: the exporter is up all the same.
NO_DATABASE = environment("postgresql://127.0.0.1:9/vmcrawl")


@contextmanager
def exporter(*arguments, **env):
    """The process, once it says that it listens."""
    process = start(["exporter", *arguments], {**NO_DATABASE, "VMCRAWL_LOG_FORMAT": "json", **env})
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.first = json.loads(line)["message"] if line.startswith("{") else line  # type: ignore[attr-defined]
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_serves_without_a_database_until_sigterm():
    port = free_port()
    with exporter("--listen", f"127.0.0.1:{port}") as process:
        assert process.first == f"listening on http://127.0.0.1:{port}/metrics"
        status, _, body = ask(port)
        families = {family.name for family in text_string_to_metric_families(body.decode())}
        assert (status, families >= {"process_cpu_seconds", "python_info"}) == (200, True)
        assert [ask(port, path)[0] for path in ("/", "/-/healthy", "/-/ready")] == [200] * 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_also_with_connections_open(number, code):
    port = free_port()
    with (
        exporter("--listen", f"127.0.0.1:{port}") as process,
        socket.create_connection(("127.0.0.1", port)) as open_one,
    ):
        open_one.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert ask(port, "/-/healthy")[0] == 200
        started = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == code
        # Less than what it would wait for the client.
        assert time.monotonic() - started < 9
        assert process.stderr.read() == ""


def test_it_listens_where_the_options_say_or_else_where_the_settings_do():
    one, two, three = free_port(), free_port(), free_port()
    settings = {"VMCRAWL_EXPORTER_LISTEN": f"127.0.0.1:{three}"}
    with exporter("--listen", f"127.0.0.1:{one}", "--web.listen-address", f"127.0.0.1:{two}", **settings):
        assert (ask(one)[0], ask(two)[0]) == (200, 200)
        with pytest.raises(ConnectionRefusedError):
            ask(three)
    with exporter(**settings):
        assert ask(three)[0] == 200


def test_it_speaks_tls_if_the_web_configuration_says_so(tmp_path):
    issuer = Issuer()
    issuer.leaf("127.0.0.1").write(tmp_path)
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}")
    port = free_port()
    with exporter("--listen", f"127.0.0.1:{port}", "--web.config.file", str(tmp_path / "web.yml")) as process:
        assert process.first == f"listening on https://127.0.0.1:{port}/metrics"
        assert ask(port, tls=trusting(issuer, tmp_path))[0] == 200


def test_a_real_prometheus_scrapes_it_by_tls_with_a_certificate_and_a_password(tmp_path):
    needed("prometheus")
    issuer = Issuer()
    issuer.leaf("127.0.0.1").write(tmp_path)
    issuer.leaf("prometheus.example", client=True).write(tmp_path, "client")
    (tmp_path / "ca.crt").write_text(issuer.pem)
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt,"
        " client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [prometheus.example]}\n"
        f"basic_auth_users: {{prometheus: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}}}\n"
    )
    port, theirs = free_port(), free_port()
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs: [{job_name: vmcrawl, scheme: https, scrape_interval: 1s, scrape_timeout: 1s,"
        " basic_auth: {username: prometheus, password: secret},"
        " tls_config: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key},"
        f" static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
    )
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    command += [f"--web.listen-address=127.0.0.1:{theirs}", "--log.level=error"]

    def answer():
        try:
            return json.loads(ask(theirs, "/api/v1/query?query=process_cpu_seconds_total")[2])["data"]["result"]
        except (OSError, ValueError, KeyError):
            return []

    with (
        exporter("--listen", f"127.0.0.1:{port}", "--web.config.file", str(tmp_path / "web.yml")),
        subprocess.Popen(command, cwd=tmp_path) as prometheus,
    ):
        try:
            assert eventually(lambda: answer() != [], 60)
            assert answer()[0]["metric"]["instance"] == f"127.0.0.1:{port}"
        finally:
            prometheus.kill()


def test_an_address_that_is_taken_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finished = vmcrawl("exporter", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", env=NO_DATABASE)
    assert finished.returncode == 1
    assert "Address already in use" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("address", ["192.0.2.1:9877", "9877", "nowhere"])
def test_an_address_that_cannot_be_is_a_mistake(address):
    finished = vmcrawl("exporter", "--listen", address, env=NO_DATABASE)
    assert finished.returncode == 78
    assert address in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_broken_web_configuration_is_a_mistake_named_with_its_line(tmp_path):
    path = tmp_path / "web.yml"
    path.write_text("basic_auth_users:\n  alice: secret\nhttp_server_config: {http2: 1}\n")
    for more in ([], ["--check"]):
        finished = vmcrawl("exporter", "--web.config.file", str(path), *more, env=NO_DATABASE)
        assert finished.returncode == 78
        assert f"{path}, line 2: basic_auth_users.alice expects a bcrypt hash" in finished.stderr
        assert f"{path}, line 3: http_server_config.http2 expects true or false" in finished.stderr
        assert "secret" not in finished.stderr
    missing = vmcrawl("exporter", "--check", "--web.config.file", str(tmp_path / "none.yml"), env=NO_DATABASE)
    assert missing.returncode == 78


def test_check_reads_everything_and_serves_nothing(tmp_path):
    path = tmp_path / "web.yml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = ["exporter", "--check", "--web.config.file", str(path)]
        command += ["--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
        path.write_text("tls_server_config: {cert_file: none.crt, key_file: none.key}")
        assert vmcrawl(*command, env=NO_DATABASE).returncode == 78
        Issuer().leaf("localhost").write(tmp_path, "none")
        finished = vmcrawl(*command, env=NO_DATABASE)
        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_without_any_address_there_is_nothing_to_do():
    finished = vmcrawl("exporter", env={**NO_DATABASE, "VMCRAWL_EXPORTER_LISTEN": " "})
    assert (finished.returncode, "names no address" in finished.stderr) == (78, True)


def test_as_pid_1_of_a_container_it_ends_at_sigterm_too(tmp_path):
    port = free_port()
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if not shutil.which("pgrep") or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces of processes here")
    script = f"exec {sys.executable} -m vmcrawl exporter --listen 127.0.0.1:{port}"
    process = subprocess.Popen([*unshare, "sh", "-c", script], env=NO_DATABASE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
        os.kill(int(children.split()[0]), signal.SIGTERM)
        assert process.wait(20) == 143
    finally:
        process.kill()
        process.communicate()
