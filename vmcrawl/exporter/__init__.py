"""The Prometheus exporter: what it reads, and how it serves that."""
