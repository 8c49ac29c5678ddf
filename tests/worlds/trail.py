"""A small log of calls behind the `Watched` port: what sessions did, as late as the real one, with troubles to set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from approvers.activity import Call
from approvers.grant import Plan
from workers.data.levels import load_levels
from workers.providers.port import Busy, Events, NotSent, Refused

HOME, OFFICE = "eu-central-1", "203.0.113.7"
EXPORT = "arn:aws:s3:::customer-exports/2026/report.csv"


def a_call(at: datetime, action: str = "s3:GetObject", resource: str = EXPORT, **changes: object) -> Call:
    """One call as it is read: what was granted, from the office, and it went through."""
    levels = load_levels()
    level = levels.level(action)
    plain = Call(
        id=f"{action}-{resource}-{at.isoformat()}",
        at=at,
        action=action,
        known=level != "unknown",
        write=level in ("Write", "Tagging", "Permissions management"),
        lists=levels.lists(action),
        resources=(resource,) if resource else (),
        region=HOME,
        address=OFFICE,
    )
    return replace(plain, **changes)


@dataclass
class Trail:
    """The world: `calls` by access key id; a call can be read once it is `lag` old. `denied`, `throttled`, `busy`."""

    now: Callable[[], datetime]
    lag: timedelta = timedelta()
    denied: str = ""
    throttled: str = ""
    busy: bool = False
    whole: bool = True
    region: str = HOME
    calls: dict[str, list[Call]] = field(default_factory=dict)
    asked: list[tuple[datetime, tuple[str, ...]]] = field(default_factory=list)

    def add(self, *calls: Call, key: str = "ASIAEXAMPLE") -> None:
        numbered = (replace(call, id=f"{len(self.calls.get(key, [])) + n:012}") for n, call in enumerate(calls))
        self.calls.setdefault(key, []).extend(numbered)

    def events(
        self,
        plan: Plan,
        *,
        since: datetime,
        until: datetime | None = None,
        key: str = "",
        name: str = "",
        regions: Sequence[str] = (),
    ) -> Events:
        self.asked.append((since, tuple(regions)))
        if self.denied:
            raise Refused(self.denied)
        if self.throttled:
            raise NotSent(self.throttled)
        if self.busy:
            raise Busy("no turn")
        shown = self.now() - self.lag
        found = [call for call in self.calls.get(key, []) if since <= call.at <= (until or shown) and call.at <= shown]
        return Events(tuple(reversed(found)), self.whole)
