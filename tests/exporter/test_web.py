import base64
import gzip
import logging
from contextlib import closing
from datetime import timedelta
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import bcrypt
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from vmcrawl import __version__
from vmcrawl.exporter.web import TLS_OF_CONNECTION, make_app, scrape_time
from vmcrawl.webconfig import RateLimit, TlsConfig, WebConfig

PATHS = ["/", "/metrics", "/-/healthy", "/-/ready"]
#: What Prometheus 2 and 3 send.
PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Scrapes:
    """What registries are made from: remembers how long each scrape may take."""

    def __init__(self):
        self.allowed = []

    def __call__(self, allowed):
        self.allowed.append(allowed)
        registry = CollectorRegistry()
        Gauge("vmcrawl_a", "One.", registry=registry).set(1)
        Gauge("vmcrawl_b", "Two.", registry=registry).set(2)
        return registry


class Reply:
    def __init__(self, app, path="/metrics", method="GET", **environ):
        request = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": "", "SCRIPT_NAME": "", **environ}
        setup_testing_defaults(request)
        with closing(validator(app)(request, self._start)) as answer:  # type: ignore[type-var]  # it checks that
            self.body = b"".join(answer)

    def _start(self, status, headers, _error=None):
        self.status = int(status.split()[0])
        self.headers = dict(headers)
        assert len(self.headers) == len(headers)

        def write(_body):
            raise AssertionError("nobody writes")

        return write


@pytest.fixture
def scrapes():
    return Scrapes()


@pytest.fixture
def app(scrapes):
    return make_app(scrapes, WebConfig)


def values(families):
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_metrics_are_text_or_openmetrics_as_the_client_likes(app):
    plain = Reply(app)
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert values(read_text(plain.body.decode())) == {"vmcrawl_a": 1, "vmcrawl_b": 2}
    for accept in (PROMETHEUS_2, PROMETHEUS_3):
        negotiated = Reply(app, HTTP_ACCEPT=accept)
        assert negotiated.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert values(read_openmetrics(negotiated.body.decode())) == {"vmcrawl_a": 1, "vmcrawl_b": 2}


@pytest.mark.parametrize("version", ["2.0.0", "1.5.0", "2.0.0,application/openmetrics-text;version=1.0.0"])
def test_a_version_of_openmetrics_that_we_do_not_speak_is_not_promised(app, version):
    answered = Reply(app, HTTP_ACCEPT=f"application/openmetrics-text;version={version}")
    assert answered.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    "accept", ["", "application/openmetrics-text; version=x", "text/plain;version=;escaping", ",;=", "é"]
)
def test_an_odd_accept_header_gets_an_answer_all_the_same(accept, app):
    assert Reply(app, HTTP_ACCEPT=accept).status == 200


def test_metrics_are_compressed_for_those_who_accept_it(app):
    packed = Reply(app, HTTP_ACCEPT_ENCODING="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == Reply(app).body
    assert packed.headers["Content-Length"] == str(len(packed.body))


def test_metrics_are_filtered_by_name(app):
    assert values(read_text(Reply(app, QUERY_STRING="name[]=vmcrawl_b").body.decode())) == {"vmcrawl_b": 2}


@pytest.mark.parametrize("path", PATHS)
def test_each_path_answers_get_and_head_with_the_same_headers(path, app):
    whole, head = Reply(app, path), Reply(app, path, "HEAD")
    assert (whole.status, head.status) == (200, 200)
    assert whole.headers == head.headers
    assert whole.headers["Content-Length"] == str(len(whole.body))
    assert head.body == b""


@pytest.mark.parametrize("path", ["/nope", "/metrics/", "//metrics", "/-/", "/-/healthy/x", "/favicon.ico", "", "*"])
def test_other_paths_are_not_found(path, app, scrapes):
    for method in ("GET", "HEAD", "POST"):
        reply = Reply(app, path, method) if path not in ("", "*") else Bare(app, path, method)
        assert reply.status == 404
    assert scrapes.allowed == []


class Bare(Reply):
    """Without the validator, which knows fewer paths than clients do."""

    def __init__(self, app, path, method):
        self.body = b"".join(app({"PATH_INFO": path, "REQUEST_METHOD": method}, self._start))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_not_allowed(method, path, app, scrapes):
    reply = Reply(app, path, method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert scrapes.allowed == []


def test_options_says_what_is_allowed_and_asks_nothing(app, scrapes):
    reply = Reply(app, "/metrics", "OPTIONS")
    assert (reply.status, reply.headers["Allow"]) == (200, "GET, HEAD, OPTIONS")
    assert scrapes.allowed == []


def test_the_page_names_the_version_and_links_to_everything(app):
    page = Reply(app, "/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for text in (__version__, 'href="metrics"', 'href="-/healthy"', 'href="-/ready"'):
        assert text in page.body.decode()


def test_signs_of_life_and_the_page_ask_for_no_metrics(app, scrapes):
    for path in ("/", "/-/healthy", "/-/ready"):
        assert Reply(app, path).status == 200
    assert scrapes.allowed == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("10", 9.5),
        ("1.5", 1),
        ("1.01", 0.51),
        ("1", 0.5),
        ("0.2", 0.5),
        ("1e-300", 0.5),
        ("60.5", 60),
        ("3600", 60),
        ("1e300", 60),
        *((nonsense, 10) for nonsense in ("", "nan", "inf", "-inf", "1e999", "0", "-3", "soon", "10s", "1,5")),
    ],
)
def test_a_scrape_may_take_what_the_header_allows(header, seconds, app, scrapes):
    assert scrape_time(header) == timedelta(seconds=seconds)
    Reply(app, HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS=header)
    assert scrapes.allowed == [timedelta(seconds=seconds)]


def test_without_the_header_it_may_take_ten_seconds(app, scrapes):
    Reply(app)
    assert scrapes.allowed == [timedelta(seconds=10)]


def test_headers_of_the_configuration_are_on_every_answer(scrapes):
    headers = {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=1"}
    app = make_app(scrapes, lambda: WebConfig(headers=headers))
    for path in (*PATHS, "/nope"):
        assert headers.items() <= Reply(app, path).headers.items()
    assert headers.items() <= Reply(app, "/", "POST").headers.items()


def test_an_unexpected_failure_is_500_with_its_traceback_in_the_log(caplog):
    def broken(_allowed):
        raise ArithmeticError("so it goes")

    reply = Reply(make_app(broken, WebConfig))
    assert (reply.status, b"so it goes" in reply.body) == (500, False)
    assert "ArithmeticError: so it goes" in caplog.text


@pytest.fixture
def users():
    return {"alice": bcrypt.hashpw(b"wonderland", bcrypt.gensalt(4)).decode()}


def login(user, password):
    return {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", [*PATHS, "/nope"])
def test_with_users_every_path_asks_for_a_password(path, scrapes, users):
    app = make_app(scrapes, lambda: WebConfig(users=users, headers={"X-Frame-Options": "deny"}))
    for wrong in (login("", ""), login("alice", "Wonderland"), login("bob", "wonderland")):
        assert Reply(app, path).status == 401
        reply = Reply(app, path, **wrong)
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Basic realm="vmcrawl"')
        assert reply.headers["X-Frame-Options"] == "deny"
    assert scrapes.allowed == []
    assert Reply(app, path, **login("alice", "wonderland")).status == (404 if path == "/nope" else 200)


def test_a_configuration_that_cannot_be_used_lets_nobody_in(scrapes, users, caplog):
    def broken():
        raise ValueError("web.yml, line 3: nonsense")

    app = make_app(scrapes, broken)
    for path in (*PATHS, "/nope"):
        assert Reply(app, path, **login("alice", "wonderland")).status == 500
    assert scrapes.allowed == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "said once, however many ask"
    assert "web.yml, line 3: nonsense" in caplog.text


def test_a_connection_made_under_another_configuration_gets_nothing(scrapes):
    tls = TlsConfig("cert", "key", client_auth_type="RequireAndVerifyClientCert")
    app = make_app(scrapes, lambda: WebConfig(tls))
    assert Reply(app).status == 503
    assert Reply(app, **{TLS_OF_CONNECTION: TlsConfig("cert", "key")}).status == 503
    assert scrapes.allowed == []
    assert Reply(app, **{TLS_OF_CONNECTION: tls}).status == 200


def test_more_requests_than_the_rate_limit_are_turned_away_before_any_password_is_looked_at(scrapes, users):
    app = make_app(scrapes, lambda: WebConfig(users=users, rate_limit=RateLimit(timedelta(hours=1), 2)))
    assert [Reply(app, **login("alice", "wonderland")).status for _ in range(4)] == [200, 200, 429, 429]
    assert Reply(app).status == 429
