"""vmcrawl measures which version every known Mastodon server runs."""

__version__ = "0.1.0"
