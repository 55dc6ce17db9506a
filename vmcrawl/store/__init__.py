"""Postgres: the only package with SQL in it; one module per subject."""
