"""A fake network for tests of decisions: a dict from URL to answer, and a record of what was asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vmcrawl.wire import Request, Response, Turn


def answer(body: object = "", status: int = 200, content_type: str = "application/json", **headers: str) -> Response:
    """A response; anything but text or bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return Response("", status, content_type, raw, headers.get("location"), headers.get("retry_after"))


@dataclass
class Site:
    """Implements :class:`vmcrawl.wire.Session`; what is not in ``pages`` answers 404."""

    pages: Mapping[str, Response | Exception]
    asked: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    #: Of the requests that were conditional.
    validators: list[str] = field(default_factory=list)
    #: What a clock would show if nothing but pauses took time.
    seconds: float = 1000.0

    def get(self, request: Request, turn: Turn | None = None) -> Response:
        if turn is not None:
            turn.begin()
        self.asked.append(request.url)
        self.validators += [request.validator] if request.validator else []
        found = self.pages.get(request.url.removeprefix("https://"), answer(status=404))
        if isinstance(found, Exception):
            raise found
        body = found.body if request.truncate_at is None else found.body[: request.truncate_at]
        response = replace(found, url=request.url, body=body)
        if turn is not None:
            turn.end(response)
        return response

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
        self.asked.append(f"(pause {seconds:g})")


def healthy(domain: str, backend: str = "", version: str = "4.5.4", active_users: object = 42) -> dict[str, Response]:
    """The pages of a Mastodon server for ``domain``, served by ``backend``."""
    backend = backend or domain
    rel = "http://nodeinfo.diaspora.software/ns/schema/2.0"
    return {
        f"{backend}/robots.txt": answer("User-agent: *\nDisallow: /media_proxy/\n", content_type="text/plain"),
        f"{backend}/.well-known/nodeinfo": answer({"links": [{"rel": rel, "href": f"https://{backend}/nodeinfo/2.0"}]}),
        f"{backend}/nodeinfo/2.0": answer(
            {
                "version": "2.0",
                "software": {"name": "mastodon", "version": version},
                "usage": {"users": {"activeMonth": active_users}},
            }
        ),
        f"{backend}/api/v2/instance": answer({"domain": domain}),
    }
