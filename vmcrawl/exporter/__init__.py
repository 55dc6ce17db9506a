"""The Prometheus exporter: one module per subject, with its SQL, its metrics and their HELP."""
