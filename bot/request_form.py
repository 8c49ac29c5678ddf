"""Turn a filled-in form into an ask, and every complaint about the ask back into the form's own field.

People ask through the same intake as programs: as themselves, under the same rules, with the same errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from approvers.action import Access, Action, Actor, malformed
from approvers.answer import waiting_for
from approvers.errors import CountersignError, Malformed
from approvers.request import RequestState
from bot.reading import View

FIELDS = ("role", "actions", "resources", "environment", "ttl_seconds", "reason", "ticket", "data_classes", "undo",
          "risk")  # fmt: skip
"""The form's fields. `actions` and `resources` hold one entry per line; the first of each is the headline."""
FIRST = "role"
"""Where a complaint is shown that speaks of no field."""
TTLS = (("300", "5 minutes"), ("900", "15 minutes"), ("1800", "30 minutes"), ("3600", "1 hour"), ("14400", "4 hours"))
RISKS = (("low", "Low"), ("medium", "Medium"), ("high", "High"), ("critical", "Critical"))
BREAK_GLASS = "break_glass"
"""The name of the form that asks for break-glass, as a reply names it and as the form itself carries it."""
WARNING = ("This grants at once what people would have to review. Everybody whom that would have asked is told now, "
           "on-call is alerted, and somebody else reviews it afterwards.")  # fmt: skip
"""What stands above that form."""
_OF = {"action": "actions", "resource": "resources", "access.role": "role", "access.actions": "actions",
       "access.resources": "resources", "access": "resources"}  # fmt: skip


def to_action(form: Mapping[str, str], principal: str, *, break_glass: bool = False) -> Action:
    """Return the ask of a person (`user:NAME`), who is its actor. Raises Malformed with a field of the form."""
    given = {name: form.get(name, "").strip() for name in FIELDS}
    actions, resources = _entries(given["actions"]), given["resources"].split()
    for name, entries in (("actions", actions), ("resources", resources)):
        if not entries:
            raise Malformed(f"Name at least one of the {name}, one per line.", field=name)
    body: dict[str, Any] = {
        "action": actions[0],
        "resource": resources[0],
        "access": {"role": given["role"], "actions": tuple(actions), "resources": tuple(resources)},
        "actor": {"id": principal},
        "environment": given["environment"],
        "reason": given["reason"],
        "break_glass": break_glass,
        "data_classes": tuple(_entries(given["data_classes"])),
        **{name: given[name] for name in ("ticket", "undo", "risk") if given[name]},
    }
    if given["ttl_seconds"]:
        body["ttl_seconds"] = _seconds(given["ttl_seconds"])
    try:
        body["access"], body["actor"] = Access(**body["access"]), Actor(**body["actor"])
        return Action.model_validate(body)
    except ValidationError as error:
        found = malformed(error)
        prefix = "access." if error.title == "Access" else ""
        raise Malformed(found.detail, field=field_of(f"{prefix}{found.field}")) from error


def field_of(path: str | None) -> str:
    """Return the form's field for a field of the ask, such as `access.actions[1]`."""
    name = re.sub(r"\[\d+\]", "", path or "")
    name = _OF.get(name, name)
    return name if name in FIELDS else FIRST


def complaint(error: CountersignError) -> tuple[str, str]:
    """Return the field to show a refusal at, and its sentence with a capital."""
    return field_of(error.field), f"{error.detail[:1].upper()}{error.detail[1:]}"


def asked(view: View) -> tuple[str, str]:
    """Return what to tell the asker: a few words, and the sentences below them."""
    request = view.request
    notes = " ".join(request.ruling.notes)
    match request.state:
        case RequestState.PENDING:
            groups = " and ".join(f"{count} of {group}" for group, count in sorted(waiting_for(request).items()))
            until = f"{request.expires_at:%H:%M} UTC"
            return f"{request.handle} waits", f"It waits for {groups} until {until}. {notes}".strip()
        case RequestState.APPROVED if request.after_review:
            due = f"{request.after_review.due_at:%H:%M} UTC on {request.after_review.due_at:%d %b}"
            text = f"You took it. Everybody who would have been asked is told; one of them reviews it until {due}."
            return f"{request.handle} is yours", f"{text} Collect the credential over the API, with your own key."
        case RequestState.APPROVED:
            text = "Policy allows it. Collect the credential over the API, with your own key."
            return f"{request.handle} is approved", text
        case RequestState.DENIED:
            return f"{request.handle} is denied", f"{request.ruling.because} {notes}".strip()
        case _:
            return f"{request.handle}: {request.state.lower()}", "An identical ask was made before, and stands so."


def _entries(text: str) -> list[str]:
    return [entry for entry in re.split(r"[\s,;]+", text) if entry]


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise Malformed("Choose for how long.", field="ttl_seconds")
    return int(text)
