"""What the exporter says of its own process."""

from datetime import timedelta

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector


def process_registry(_allowed: timedelta) -> CollectorRegistry:
    """``process_*`` and ``python_info``, and nothing that takes time."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
