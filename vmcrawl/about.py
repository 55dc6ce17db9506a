"""The page for people whose servers are crawled, with the operator's own numbers; in Markdown, or in HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import escape

from vmcrawl.document import clean_text
from vmcrawl.settings import HttpSettings, Settings, user_agent


@dataclass(frozen=True, slots=True)
class Conduct:
    """What no setting changes."""

    requests_per_host: int
    max_redirects: int


def page(settings: Settings, conduct: Conduct) -> str:
    """The page in Markdown: headings, paragraphs, lists, code, and addresses in angle brackets; nothing else."""
    http, crawl, schedule = settings.http, settings.crawl, settings.schedule
    agent = http.robots_agent
    delay = crawl.domain_timeout / conduct.requests_per_host
    return f"""# About this crawler

This robot measures which version every Mastodon server runs, and how fast security fixes spread. It looks at servers,
never at people. You have come here because it has asked yours, or because you want to know what it does.

## How to reach us

{_contact(http)}

In your logs it is `{_plain(user_agent(http))}`, and in robots.txt it answers to `{agent}`.

## What it asks for

- `/robots.txt` of each host, before anything else, at most once in {_words(crawl.robots_lifetime)}.
- `/.well-known/nodeinfo`, and the NodeInfo document that this links to.
- `/api/v2/instance`, or `/api/v1/instance` where that is missing: only to see under which name the server is known.
- `/.well-known/host-meta` and `/.well-known/webfinger` (for the server's own actor): only where a domain has no
  NodeInfo.
- `/api/v1/instance/peers`: only of servers that are published, where we look for others; nobody keeps who named whom.

It follows at most {conduct.max_redirects} redirects, and reads robots.txt of the host that they lead to first. It sends
no cookies, logs in nowhere, and reads no posts, profiles or media.

## How often

- A healthy Mastodon server that is known: one small request about every {_words(schedule.ok)}, with `If-None-Match`
  where you give an entity tag; all of the above about every {_words(crawl.reconfirm)}. Your `Cache-Control` can make
  that rarer.
- A server that does not answer well: after {_words(schedule.failure_first)}, then each time twice as long after, up to
  {_words(schedule.failure_longest)}.
- For its peers a server is asked at most once in {_words(settings.discovery.again)}, after a no at most once in
  {_words(settings.discovery.refused)}.
- Other software: about every {_words(schedule.not_mastodon)}. Another name of a known server: about every
  {_words(schedule.alias)}.
- Never more than one request at a time to a host, and {settings.network.requests_per_address} at a time to one address.
- `Retry-After` is obeyed, up to {_words(schedule.rate_limited_longest)}; without one a 429 means
  {_words(schedule.rate_limited)}. `Crawl-delay` is obeyed up to {_seconds(delay)}; a longer one counts as a no.
- A request is given up after {_words(http.request_timeout)}, and no more than {_bytes(http.max_wire_bytes)} of an
  answer are read (of a list of peers, {_bytes(settings.discovery.max_wire_bytes)}).

## What is kept, and what is published

Of each server: its name, the software and version that it gives and has given before, its number of monthly active
users, where its NodeInfo is, when it was seen, how the last look ended, and what its robots.txt says to us. Nothing
about people: no accounts, no posts, no contacts. Nor do we keep who is connected with whom.

A server is published with its version and number of users as long as its last good answer is no older than
{_words(settings.publish.retention)}. Sums by version are kept for good; no server can be told from them.

## How to opt out

By robots.txt; it takes effect when we read it the next time, so within about {_words(crawl.robots_lifetime)}. What is
published of your server is gone at that moment, and from then on we read nothing but robots.txt, about every
{_words(schedule.robots_disallowed)}, to see whether you have changed your mind. To us alone:

```robots.txt
User-agent: {agent}
Disallow: /
```

To all robots that obey it:

```robots.txt
User-agent: *
Disallow: /
```

A group for `{agent}` outranks the one for everybody, so this lets us in and keeps others out:

```robots.txt
User-agent: {agent}
Allow: /

User-agent: *
Disallow: /
```

And this only slows us down, to one request in {_seconds(delay)}:

```robots.txt
User-agent: {agent}
Crawl-delay: {delay.total_seconds():g}
```

By an answer: 410 (Gone), 418 or 451, at any of the addresses above. We ask for nothing more, take down what is
published, and look again after about {_words(schedule.opted_out)}. With nginx, in the `server` block:

```nginx
if ($http_user_agent ~* "{agent}") {{
    return 410;
}}
```

Or tell us (see above) which domain is meant, and whether all its subdomains are, too. Then what is published is taken
down at once, and no request is made to it any more, until you tell us otherwise. We have to keep the name itself, so
that we know whom not to ask.
"""


def as_html(markdown: str) -> str:
    """A whole HTML document of what :func:`page` makes; every character of the text is escaped. No scripts."""
    lines = markdown.splitlines()
    title = escape(lines[0].removeprefix("# "))
    return _FRAME.format(title=title, body="\n".join(_blocks(lines)))


_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 42em; margin: 2em auto; padding: 0 1em; font: 1em/1.5 sans-serif; color: #222; background: #fff; }}
pre {{ padding: 0.8em; overflow-x: auto; background: #f2f2f2; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"&lt;(https?://\S+?|[^\s@]+?@[^\s@]+?)&gt;")
_WEB = re.compile(r"https?://[!-;=?-~]+")
_MAIL = re.compile(r"[A-Za-z0-9.!#$%'*+/=?^_{|}~-]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+")
_LONGEST_CONTACT = 500


def _contact(http: HttpSettings) -> str:
    contact = clean_text(http.contact, _LONGEST_CONTACT)
    if contact in ("", HttpSettings().contact):
        return "Whoever runs this crawler has not said (`http.contact`)."
    address = contact.removeprefix("mailto:")
    if _WEB.fullmatch(contact) or _MAIL.fullmatch(address):
        return f"Whoever runs this crawler can be reached at <{address}>."
    return f"Whoever runs this crawler can be reached at `{_plain(contact)}`."


def _plain(text: str) -> str:
    """As it may stand between backticks."""
    return clean_text(text, _LONGEST_CONTACT).replace("`", "'")


def _words(length: timedelta) -> str:
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        number, rest = divmod(length.total_seconds(), seconds)
        # A day is 24 hours: that is how such limits are spoken of.
        if not rest and number > (1 if unit == "day" else 0):
            return f"{number:g} {unit}{'s' if number != 1 else ''}"
    return _seconds(length)


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():g} seconds"


def _bytes(number: int) -> str:
    return f"{number >> 20} MiB" if number % (1 << 20) == 0 else f"{number} bytes"


def _blocks(lines: list[str]) -> Iterator[str]:
    """HTML of one block after the other; a block is a heading, a list, code, or a paragraph."""
    for block in _split(lines):
        first = block[0]
        if first.startswith("```"):
            code = "\n".join(block[1:-1])
            yield f"<pre><code>{escape(code)}</code></pre>"
        elif first.startswith("#"):
            level = len(first) - len(first.lstrip("#"))
            yield f"<h{level}>{_inline(first.lstrip('# '))}</h{level}>"
        elif first.startswith("- "):
            items = " ".join(line.strip() if line.startswith("  ") else f"\n{line[2:]}" for line in block).split("\n")[
                1:
            ]
            yield "<ul>\n" + "\n".join(f"<li>{_inline(item.strip())}</li>" for item in items) + "\n</ul>"
        else:
            yield f"<p>{_inline(' '.join(block))}</p>"


def _split(lines: list[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        in_code = bool(block) and block[0].startswith("```")
        if line or in_code:
            block.append(line)
        if block and (line == "```" if in_code else not line):
            yield block
            block = []
    if block:
        yield block


def _inline(text: str) -> str:
    linked = _LINK.sub(_anchor, escape(text))
    return _CODE.sub(r"<code>\1</code>", linked)


def _anchor(link: "re.Match[str]") -> str:
    target = link[1] if link[1].startswith("http") else f"mailto:{link[1]}"
    return f'<a href="{target}">{link[1]}</a>'
