"""Read one thing that a person did in Slack, out of a body whose signature holds; and say what the HTTP answer carries.

Only ids are read: names, texts and blocks in a body are what a client showed, and nobody decides by them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from approvers.errors import Malformed

Body = Mapping[str, Any]
_NOTHING: Body = {}
_ID = re.compile(r"[A-Z0-9]{1,64}")
_REQUEST = re.compile(r"req_[0-9A-Z]{26}")
_SHOWN = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True)
class Incoming:
    """One action, view, command, shortcut or event.

    Attributes:
        body: the whole of it, as Slack sent it.
        user: the id of who did it (`U…`, `W…`); empty for an event that nobody did.
        team: the id that Slack puts beside the user; on Enterprise Grid it may be an `E…` id, or None.
        channel: where it was done; None in a modal and in App Home.
        message: the `ts` of the message whose button or shortcut it was.
        trigger: opens a modal, once, within 3 s.
        response_url: takes 5 answers within 30 minutes; None in modals and App Home.
        view: the modal or App Home that it was done in.
        action: the first action of a click; empty otherwise.
        value: the action's value, or that of the option that was chosen.
    """

    body: Body
    user: str
    team: str | None = None
    channel: str | None = None
    message: str | None = None
    trigger: str | None = None
    response_url: str | None = None
    view: Body | None = None
    action: Body = field(default_factory=dict)
    value: str = ""

    @classmethod
    def of(cls, body: Body) -> Incoming:
        """Read any body of Slack's. Raises Malformed if it does not say who did what."""
        if "event" in body:
            return cls(body, _user(_dict(body, "event")), team=_id(body, "team_id"))
        if "command" in body:
            return cls(
                body,
                _named(_text(body, "user_id")),
                team=_id(body, "team_id"),
                channel=_id(body, "channel_id"),
                trigger=_text(body, "trigger_id") or None,
                response_url=_text(body, "response_url") or None,
            )
        return cls._interactive(body)

    @classmethod
    def _interactive(cls, body: Body) -> Incoming:
        user, place, view = _dict(body, "user"), _dict(body, "container"), body.get("view")
        actions = body.get("actions")
        action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else _NOTHING
        return cls(
            body,
            _named(_text(user, "id")),
            team=_id(_dict(body, "team"), "id") or _id(user, "team_id"),
            channel=_id(_dict(body, "channel"), "id") or _id(place, "channel_id"),
            message=_text(_dict(body, "message"), "ts") or _text(place, "message_ts") or None,
            trigger=_text(body, "trigger_id") or None,
            response_url=_text(body, "response_url") or None,
            view=view if isinstance(view, dict) else None,
            action=action,
            value=_text(action, "value") or _text(_dict(action, "selected_option"), "value"),
        )

    def target(self) -> tuple[str, str]:
        """Return request id and digest of what was shown, as the button, option or modal carries them.

        Raises:
            Malformed: it carries none: an old button, or one that is not ours.
        """
        carried = self.value or _text(self.view or _NOTHING, "private_metadata")
        *_, request, shown = ["", "", *carried.split(".")]
        if not (_REQUEST.fullmatch(request) and _SHOWN.fullmatch(shown)):
            raise Malformed("This button is from an older version or not Countersign's: open the request by its id.")
        return request, shown


@dataclass(frozen=True)
class Answer:
    """What the HTTP answer itself carries; None: an empty 200."""

    json: Body | None = None


def _dict(body: Body, name: str) -> Body:
    value = body.get(name)
    return value if isinstance(value, dict) else _NOTHING


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _id(body: Body, name: str) -> str | None:
    value = _text(body, name)
    return value if _ID.fullmatch(value) else None


def _named(user: str) -> str:
    if not _ID.fullmatch(user):
        raise Malformed("Slack's call does not say who did this.")
    return user


def _user(event: Body) -> str:
    """Return the user of an event: some have an id there, some the whole user, some nobody."""
    return _id(event, "user") or _id(_dict(event, "user"), "id") or ""
