"""The ways a crawl of one domain can end: one word each, and what the word means for the published row."""

from enum import StrEnum


class Outcome(StrEnum):
    """How one crawl of one domain ended; stored in ``domains.outcome`` and used as a metric label."""

    #: Mastodon or a related fork; version and active users valid; identity confirmed.
    OK = "ok"
    #: Its instance API names another domain, and that domain leads back here.
    ALIAS = "alias"
    #: It names another domain, which does not confirm it.
    ALIAS_UNVERIFIED = "alias_unverified"
    #: NodeInfo names other software, or it is a Matrix server.
    NOT_MASTODON = "not_mastodon"
    #: robots.txt forbids a path that is needed, or asks for a delay that does not fit into a crawl.
    ROBOTS_DISALLOWED = "robots_disallowed"
    #: robots.txt answered 5xx: complete disallow (RFC 9309, 2.3.1.4).
    ROBOTS_UNREACHABLE = "robots_unreachable"
    #: 410, 418 or 451 from any endpoint.
    OPTED_OUT = "opted_out"
    #: On the operator's exclusions or a hard DNI entry; no request was made.
    EXCLUDED = "excluded"
    #: 429 from any endpoint.
    RATE_LIMITED = "rate_limited"
    #: The decisive document answered 4xx.
    HTTP_4XX = "http_4xx"
    #: The decisive document answered 5xx.
    HTTP_5XX = "http_5xx"
    #: The decisive document answered with another status that is no success.
    HTTP_OTHER = "http_other"
    #: More than five hops, or a loop.
    TOO_MANY_REDIRECTS = "too_many_redirects"
    #: A hop to anything but https on the usual port.
    BAD_REDIRECT = "bad_redirect"
    #: The name, or a redirect, leads to an address that is not public.
    BLOCKED_ADDRESS = "blocked_address"
    #: NXDOMAIN, or no address record.
    DNS_NOT_FOUND = "dns_not_found"
    #: SERVFAIL, refused, timed out.
    DNS_FAILURE = "dns_failure"
    #: The host refused the connection.
    CONNECTION_REFUSED = "connection_refused"
    #: No route to the host or its network.
    CONNECTION_UNREACHABLE = "connection_unreachable"
    #: The server reset the connection, or hung up without an answer.
    CONNECTION_RESET = "connection_reset"
    #: Connecting, TLS, reading or the whole domain ran out of time.
    TIMEOUT = "timeout"
    #: The certificate is expired, for another name, or from an unknown issuer.
    TLS_CERTIFICATE = "tls_certificate"
    #: No common protocol or cipher, or no TLS at all.
    TLS_HANDSHAKE = "tls_handshake"
    #: The document is not JSON by its type.
    BAD_CONTENT_TYPE = "bad_content_type"
    #: The document is not JSON, or not NodeInfo, by its content.
    BAD_JSON = "bad_json"
    #: The document is over the size limit, compressed or not.
    TOO_LARGE = "too_large"
    #: No version string that can be a Mastodon version.
    BAD_VERSION = "bad_version"
    #: Active users are missing, or not a whole number from 0 to a plausible ceiling.
    NO_ACTIVE_USERS = "no_active_users"
    #: The instance API answers 401.
    API_AUTH_REQUIRED = "api_auth_required"
    #: Neither v2 nor v1 of the instance API names a usable domain.
    API_UNAVAILABLE = "api_unavailable"
    #: Our bug: logged with its traceback, counted, never hidden.
    INTERNAL_ERROR = "internal_error"


#: Outcomes that take a published row down at once; every other failure lets it fade by itself.
REMOVES_PUBLISHED = frozenset(
    {
        Outcome.ALIAS,
        Outcome.ALIAS_UNVERIFIED,
        Outcome.NOT_MASTODON,
        Outcome.ROBOTS_DISALLOWED,
        Outcome.OPTED_OUT,
        Outcome.EXCLUDED,
    }
)
