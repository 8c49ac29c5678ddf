"""Judge a Slack account by its `users.info`: may somebody behind it decide at all? Pure.

Everybody who can read a message can click its buttons: guests, people of other organisations, other apps. Ids are
compared as `users.info` gives them, never as a click carries them: on Enterprise Grid those may be the organisation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from approvers.roster import Person, Roster
from bot import strangers

ROBOTS = ("is_bot", "is_workflow_bot", "is_connector_bot")
GUESTS = ("is_restricted", "is_ultra_restricted", "is_invited_user")


class Stranger(strangers.Stranger):
    """Whoever this is, they are nobody here; `code` says why."""

    platform, home, key = "Slack", "Slack workspace", "slack"


@dataclass(frozen=True)
class Account:
    """One account as `users.info` showed it."""

    id: str
    team: str
    enterprise: str
    email: str
    confirmed: bool
    fault: str | None

    @classmethod
    def of(cls, user: Mapping[str, Any], team: str, enterprise: str) -> Account:
        """Read the `user` of `users.info`; team and enterprise are ours."""
        profile, grid = _dict(user, "profile"), _dict(user, "enterprise_user")
        one = cls(
            id=_text(user, "id"),
            team=_text(user, "team_id"),
            enterprise=_text(grid, "enterprise_id"),
            email=_text(profile, "email"),
            confirmed=user.get("is_email_confirmed") is True,
            fault=None,
        )
        inside = (bool(team) and one.team == team) or (bool(enterprise) and one.enterprise == enterprise)
        fault = _fault(user, inside=inside, guest=bool(profile.get("guest_invited_by")))
        return cls(one.id, one.team, one.enterprise, one.email, one.confirmed, fault)

    @property
    def name(self) -> str:
        """Return how records name it: `T01/U02`."""
        return f"{self.team}/{self.id}"

    def person(self, roster: Roster) -> tuple[Person, bool]:
        """Return who this is, and whether only the mail address said so. Raises Stranger."""
        if self.fault:
            raise Stranger(self.fault)
        by_id = roster.by_slack(self.id, self.team) or roster.by_slack(self.id, self.enterprise)
        if by_id:
            return _only(by_id, self.id), False
        by_mail = roster.by_email(self.email) if roster.slack.match_email and self.email else []
        if not by_mail:
            raise Stranger("unknown_person", self.id)
        if not self.confirmed:
            raise Stranger("unconfirmed")
        if by_mail[0].slack_user:  # their account is named, and this is another one
            raise Stranger("unknown_person", self.id)
        return _only(by_mail, self.id), True


def _fault(user: Mapping[str, Any], *, inside: bool, guest: bool) -> str | None:
    """Return the first reason why nobody behind this account may decide."""
    if user.get("deleted"):
        return "deactivated"
    if any(user.get(flag) for flag in ROBOTS):
        return "bot"
    if user.get("is_stranger") or not inside:
        return "external"
    if guest or any(user.get(flag) for flag in GUESTS):
        return "guest"
    return "unconfirmed" if user.get("is_email_confirmed") is False else None


def _only(people: list[Person], account: str) -> Person:
    if len(people) > 1:
        raise Stranger("two_people", account)
    return people[0]


def _dict(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
