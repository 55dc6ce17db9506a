"""The dashboards as they are shipped, for tests."""

import json
from pathlib import Path

from tests.dashboards.answers import panels

GRAFANA = Path(__file__).parents[2] / "grafana"
FILES = sorted((GRAFANA / "dashboards").rglob("*.json"))
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in FILES}
#: With the names of their dashboards: all panels that ask something, and all that they ask.
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in panels(dashboard)]
TARGETS = [(name, panel, target) for name, panel in PANELS for target in panel["targets"]]
