"""What is answered to whom: a WSGI application (PEP 3333) with a page, the metrics, and two signs of life."""

import html
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, make_wsgi_app

from vmcrawl import __version__
from vmcrawl.exporter.auth import Crowded, Doorkeeper, Limiter
from vmcrawl.webconfig import WebConfig

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

#: Gives what is to be shown, within the time that the scrape may take.
Registries = Callable[[timedelta], CollectorRegistry]

#: Where the server leaves which TLS configuration a connection was made under.
TLS_OF_CONNECTION = "vmcrawl.tls"

_PATHS = ("/", "/metrics", "/-/healthy", "/-/ready")
_METHODS = ("GET", "HEAD", "OPTIONS")
#: Of the text format and of OpenMetrics, as the library writes them.
_VERSIONS = ("0.0.4", "1.0.0")
_USUAL_SCRAPE = timedelta(seconds=10)
_LONGEST_SCRAPE = timedelta(seconds=60)
#: Whoever says less only wants to see scrapes fail.
_SHORTEST_SCRAPE = timedelta(milliseconds=500)
#: How often it is said that nobody is let in, however many ask.
_SAID_AGAIN_SECONDS = 60.0

_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>vmcrawl exporter</title></head>
<body>
<h1>vmcrawl exporter</h1>
<p>Which versions Mastodon servers run, for Prometheus. Version {html.escape(__version__)}.</p>
<ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="-/healthy">Healthy</a></li>
<li><a href="-/ready">Ready</a></li>
</ul>
</body>
</html>
"""


def make_app(registries: Registries, web_config: Callable[[], WebConfig]) -> "WSGIApplication":
    """Make the application.

    ``registries`` is called for each scrape with the time that it may take. ``web_config`` is called for each request
    and raises ``ValueError`` when there is none that can be used; then nobody is let in, and the answer is 500. All
    paths need authentication, if there is any. Nothing but ``/metrics`` calls ``registries``.
    """
    return _App(registries, web_config)


def scrape_time(header: str) -> timedelta:
    """How long a scrape may take, from ``X-Prometheus-Scrape-Timeout-Seconds``; half a second is for the way back."""
    try:
        seconds = float(header)
    except ValueError:
        return _USUAL_SCRAPE
    if not math.isfinite(seconds) or seconds <= 0:
        return _USUAL_SCRAPE
    left = seconds - 0.5 if seconds > 1 else seconds / 2
    return max(_SHORTEST_SCRAPE, timedelta(seconds=min(left, _LONGEST_SCRAPE.total_seconds())))


class _App:
    def __init__(self, registries: Registries, web_config: Callable[[], WebConfig]) -> None:
        self._registries = registries
        self._web_config = web_config
        self._doorkeeper = Doorkeeper()
        self._limiter = Limiter()
        self._said = ("", -math.inf)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        reply = self._reply(environ)
        status = f"{reply.status.value} {reply.status.phrase}"
        start_response(status, [*reply.headers, ("Content-Length", str(len(reply.body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

    def _reply(self, environ: "WSGIEnvironment") -> "_Reply":
        try:
            config = self._web_config()
        except ValueError as error:
            self._say_why_nobody_is_let_in(str(error))
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR)
        try:
            reply = self._refusal(environ, config) or self._answer(environ)
        except Exception:
            log.exception("a request failed")
            reply = _text(HTTPStatus.INTERNAL_SERVER_ERROR)
        return reply.with_headers(config.headers.items())

    def _say_why_nobody_is_let_in(self, why: str) -> None:
        said, at = self._said
        if why != said or time.monotonic() - at >= _SAID_AGAIN_SECONDS:
            self._said = (why, time.monotonic())
            log.error("nobody is let in, since the web configuration cannot be used: %s", why)

    def _refusal(self, environ: "WSGIEnvironment", config: WebConfig) -> "_Reply | None":
        if environ.get(TLS_OF_CONNECTION) != config.tls:
            # It was made before the configuration changed, and its client not asked for what is asked for now.
            return _text(HTTPStatus.SERVICE_UNAVAILABLE)
        if not self._limiter.allows(config.rate_limit):
            return _text(HTTPStatus.TOO_MANY_REQUESTS)
        try:
            if not config.users or self._doorkeeper.admits(environ.get("HTTP_AUTHORIZATION", ""), config.users):
                return None
        except Crowded:
            return _text(HTTPStatus.TOO_MANY_REQUESTS)
        return _text(HTTPStatus.UNAUTHORIZED).with_headers([("WWW-Authenticate", 'Basic realm="vmcrawl"')])

    def _answer(self, environ: "WSGIEnvironment") -> "_Reply":
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if path not in _PATHS:
            return _text(HTTPStatus.NOT_FOUND)
        if method not in _METHODS:
            return _text(HTTPStatus.METHOD_NOT_ALLOWED).with_headers([("Allow", ", ".join(_METHODS))])
        if method == "OPTIONS":
            return _text(HTTPStatus.OK).with_headers([("Allow", ", ".join(_METHODS))])
        if path == "/":
            return _Reply(HTTPStatus.OK, (("Content-Type", "text/html; charset=utf-8"),), _PAGE.encode())
        if path == "/metrics":
            allowed = scrape_time(environ.get("HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS", ""))
            return _metrics(self._registries(allowed), environ)
        return _text(HTTPStatus.OK)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def with_headers(self, headers: Iterable[tuple[str, str]]) -> "_Reply":
        return _Reply(self.status, (*self.headers, *headers), self.body)


def _text(status: HTTPStatus) -> _Reply:
    return _Reply(status, (("Content-Type", "text/plain; charset=utf-8"),), f"{status.phrase}\n".encode())


def _metrics(registry: CollectorRegistry, environ: "WSGIEnvironment") -> _Reply:
    """What prometheus_client makes of it: text or OpenMetrics, compressed or not, all or what ``name[]`` names."""
    # It answers every path and no HEAD, so it is only told what it knows.
    request = {**environ, "REQUEST_METHOD": "GET", "PATH_INFO": "/metrics"}
    if not _can_be_negotiated(environ.get("HTTP_ACCEPT", "")):
        request.pop("HTTP_ACCEPT", None)
    sent: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
        sent.append((status, headers))

    body = b"".join(make_wsgi_app(registry)(request, start_response))
    ((status, headers),) = sent
    return _Reply(HTTPStatus(int(status[:3])), tuple(headers), body)


def _can_be_negotiated(accept: str) -> bool:
    """Not a version that is no number, nor one that the library would promise, but cannot write."""
    try:
        _, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        return False
    return any(f"version={version};" in content_type for version in _VERSIONS)
