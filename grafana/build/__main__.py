"""``python -m grafana.build``: write all dashboards; ``--check``: only say whether they are what would be written."""

import json
import sys
from pathlib import Path

from grafana.build.adoption import adoption
from grafana.build.health import health
from grafana.build.instances import instances

_FOLDER = Path(__file__).parents[1] / "dashboards"


def dashboards() -> dict[Path, str]:
    """Every file, with what belongs into it."""
    made = {"adoption": adoption(), "instances": instances(), "health": health()}
    return {
        _FOLDER / f"{name}.json": json.dumps(value, indent=2, ensure_ascii=False) + "\n" for name, value in made.items()
    }


def main() -> int:
    """Write, or compare."""
    stale = [path for path, text in dashboards().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.name} is not what python -m grafana.build makes\n")
        return 1 if stale else 0
    for path, text in dashboards().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
