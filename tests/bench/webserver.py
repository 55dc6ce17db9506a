"""nginx as thousands of servers: its configuration, written for the crowds, and the process."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.certificates import write_certificates
from tests.bench.crowd import SUFFIX, Kind, addresses
from tests.documents import document, json_document

#: What one request to a server of the mix takes.
LATENCY_SECONDS = 0.05
#: The size of the instance document; what the samples lack is made up by one more rule.
INSTANCE_BYTES = 9_000
ETAG = 'W/"31f5a8c1b8d0cbe9e2a6c4b7d1f0a9e3"'
_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
#: nginx takes no longer words in its configuration.
_LONGEST_WORD = 3_000
_START_SECONDS = 10


class NoWebServer(Exception):
    """nginx is not installed."""


def find_nginx() -> str:
    """The program, where its echo module is there, too; raises :class:`NoWebServer`."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None or not _MODULE.exists():
        raise NoWebServer("the benchmark needs nginx: apt-get install nginx-light libnginx-mod-http-echo")
    return nginx


@contextmanager
def running_nginx(directory: Path, port: int, status_port: int) -> Iterator[Path]:
    """Serve all kinds at ``port``; gives the certificate to trust. Raises :class:`NoWebServer`."""
    nginx = find_nginx()
    directory.mkdir(parents=True, exist_ok=True)
    ca_file = write_certificates(directory)
    configuration = directory / "nginx.conf"
    configuration.write_text(_configuration(directory, port, status_port))
    command = [nginx, "-c", str(configuration), "-p", str(directory), "-e", str(directory / "error.log")]
    with subprocess.Popen(command) as process:
        try:
            _wait(status_port, process)
            yield ca_file
        finally:
            process.terminate()
            process.wait(10)


def requests_so_far(status_port: int) -> int:
    """All requests that nginx has answered, but those that ask for this number."""
    with urllib.request.urlopen(f"http://127.0.0.1:{status_port}/", timeout=5) as answer:
        counts = answer.read().decode().splitlines()[2].split()
    return int(counts[2])


def nodeinfo_document(software: str = "mastodon") -> str:
    """The NodeInfo document of every healthy server, as Mastodon writes it."""
    text = document("samples", "nodeinfo-2.0-mastodon-4.3plus.json").decode()
    return json.dumps(json.loads(text.replace('"mastodon"', f'"{software}"')), separators=(",", ":"))


def instance_document(domain: str) -> str:
    """``/api/v2/instance`` of a server of that name."""
    read = json_document("samples", "api-v2-instance-4.7.json")
    assert isinstance(read, dict)
    value = {**read, "domain": domain}
    rule = {"id": "99", "text": "", "hint": ""}
    value["rules"] = [*value.get("rules", []), rule]
    rule["text"] = "x" * max(0, INSTANCE_BYTES - len(json.dumps(value, separators=(",", ":"))))
    return json.dumps(value, separators=(",", ":"))


def _wait(status_port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            requests_so_far(status_port)
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)


def _configuration(directory: Path, port: int, status_port: int) -> str:
    name = f'"~^[{Kind.HEALTHY}{Kind.CHAIN}][0-9]+\\.{SUFFIX.replace(".", "[.]")}$"'
    shared = addresses(Kind.HEALTHY)
    servers = [
        _server(shared, port, name, "leaf", _healthy("mastodon")),
        _server(addresses(Kind.CHAIN), port, name, "chain", _healthy("mastodon")),
        _server(shared, port, _names(Kind.MASTODON), "leaf", _healthy("mastodon", latency=True)),
        _server(shared, port, _names(Kind.OTHER_SOFTWARE), "leaf", _healthy("lemmy", latency=True)),
        _server(shared, port, _names(Kind.NO_NODEINFO), "leaf", _everywhere("text/html", "<h1>Not here</h1>", 404)),
        _server(shared, port, _names(Kind.WEB_PAGE), "leaf", _everywhere("text/html", "<h1>Welcome</h1>", 200)),
        _server(shared, port, _names(Kind.BROKEN), "leaf", _broken()),
        _server(shared, port, _names(Kind.GONE), "leaf", "location / { return 410; }"),
        _server(shared, port, _names(Kind.HANGS_UP), "leaf", "location / { return 444; }"),
        _server(addresses(Kind.BAD_CERTIFICATE), port, "_", "other", "location / { return 200; }"),
        _server(addresses(Kind.PLAIN), port, "_", "", "location / { return 200; }"),
    ]
    return f"""
load_module {_MODULE};
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_timeout 30;
    server_tokens off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets off;
    server {{ listen 127.0.0.1:{status_port}; location / {{ stub_status; }} }}
    {"".join(servers)}
}}
"""


def _names(kind: Kind) -> str:
    return f'"~^{kind}[0-9]+\\.{SUFFIX.replace(".", "[.]")}$"'


def _server(where: list[str], port: int, names: str, certificate: str, locations: str) -> str:
    tls = f"ssl_certificate {certificate}.pem; ssl_certificate_key {certificate}.key;" if certificate else ""
    listens = "".join(f"listen {address}:{port}{' ssl' if certificate else ''} backlog=4096; " for address in where)
    if where == addresses(Kind.HEALTHY) and "h" not in names:
        listens = listens.replace(" backlog=4096", "")
    return f"server {{ {listens} server_name {names}; {tls} {locations} }}\n"


def _healthy(software: str, *, latency: bool = False) -> str:
    links = json.dumps(
        {
            "links": [
                {
                    "rel": "http://nodeinfo.diaspora.software/ns/schema/2.0",
                    "href": "https://@HOST@/nodeinfo/2.0",
                }
            ]
        }
    )
    robots = document("samples", "robots-4.4plus.txt").decode()
    etag = f"add_header ETag '{ETAG}';"
    unchanged = f"if ($http_if_none_match = '{ETAG}') {{ return 304; }}"
    return "".join(
        (
            _location("/robots.txt", "text/plain", robots, latency),
            _location("/.well-known/nodeinfo", "application/json", links, latency),
            _location("/nodeinfo/2.0", "application/json", nodeinfo_document(software), latency, etag + unchanged),
            _location("/api/v2/instance", "application/json", instance_document("@HOST@"), latency),
        )
    )


def _location(path: str, content_type: str, text: str, latency: bool, more: str = "") -> str:
    """``@HOST@`` in the text stands for the name that was asked."""
    assert "$" not in text
    pieces = [text[start : start + _LONGEST_WORD] for start in range(0, len(text), _LONGEST_WORD)]
    variables, words = "", ""
    for number, piece in enumerate(pieces):
        name = f"$piece{number}"
        quoted = piece.replace("\\", "\\\\").replace("'", "\\'").replace("@HOST@", "$host")
        variables += f"set {name} '{quoted}';\n"
        words += name
    body = f'echo_sleep {LATENCY_SECONDS}; echo -n "{words}";' if latency else f'return 200 "{words}";'
    return f"location = {path} {{ default_type {content_type}; {more} {variables} {body} }}\n"


def _everywhere(content_type: str, text: str, status: int) -> str:
    return (
        f"location / {{ default_type {content_type}; echo_status {status};"
        f" echo_sleep {LATENCY_SECONDS}; echo -n '{text}'; }}"
    )


def _broken() -> str:
    return f"location = /robots.txt {{ return 404; }} {_everywhere('text/html', 'broken', 503)}"
