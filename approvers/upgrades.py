"""Lift stored records to the present version, and refuse by name what a newer Countersign wrote.

Each kind has a list of functions from version n to n + 1; a record of an old version is lifted step by step when it is
read, and written back in the new form with its next change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from approvers.errors import NewerRecord
from approvers.grant import Grant
from approvers.request import Request

M = TypeVar("M", bound=BaseModel)
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

UPGRADES: Mapping[type[BaseModel], Sequence[Upgrade]] = {Request: (), Grant: ()}
"""The steps from version 1 on; the present version of a kind is one more than it has steps."""


def read(kind: type[M], text: str, upgrades: Mapping[type[BaseModel], Sequence[Upgrade]] = UPGRADES) -> M:
    """Return the record that the JSON holds, lifted to the present version.

    Raises:
        NewerRecord: it was written by a newer version; nothing is guessed.
    """
    steps = upgrades[kind]
    newest = len(steps) + 1
    if text.startswith(f'{{"v":{newest},'):  # as we write it ourselves: no second parse
        return kind.model_validate_json(text)
    raw = json.loads(text)
    version = raw.get("v")
    if not isinstance(version, int) or version > newest or version < 1:
        raise NewerRecord(f"a stored {kind.__name__} has version {version}; this Countersign reads up to {newest}")
    for step in steps[version - 1 :]:
        raw = step(raw)
    return kind.model_validate_json(json.dumps(raw))
