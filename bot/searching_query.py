"""Say what is searched for among requests: read it strictly, and tell whether a request is it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from approvers.errors import Malformed
from approvers.grant import GrantState, ProofKind
from approvers.patterns import Patterns
from approvers.reporting_period import asked_moment
from approvers.request import Because, RequestState
from bot.reading import View

AS = ("asked", "decided", "revoked", "behind")
TEXTS = ("actor", "person", "as", "resource", "action", "role", "state", "because", "proof")
MOMENTS = ("from", "to")
FLAGS = ("flagged", "break_glass")
FIELDS = (*TEXTS, *MOMENTS, *FLAGS)
STATES = tuple(dict.fromkeys([*RequestState, *GrantState]))
LONGEST = 2_048
YES = ("1", "true")
DEAR = 20_000
"""Two patterns whose lengths multiply to more take over ten milliseconds to compare."""
_WILD = re.compile(r"[*?]")


@dataclass(frozen=True)
class Query:
    """What is wanted; an empty part wants nothing in particular.

    Attributes:
        person: a principal such as `user:dana` or `caller:report-bot`, in the part that `role_played` says (`as`).
        resource: the beginning of a name, or a pattern with `*`; an ask for a pattern is found by what it covers.
        state: of the request, or of its grant; PENDING is the request's.
    """

    actor: str = ""
    person: str = ""
    role_played: str = ""
    resource: str = ""
    action: str = ""
    role: str = ""
    since: datetime | None = None
    until: datetime | None = None
    state: str = ""
    because: str = ""
    proof: str = ""
    flagged: bool = False
    break_glass: bool = False

    def holds(self, view: View) -> bool:
        """Tell whether a request is what is searched for."""
        return all(check for check in self._checks(view))

    def _checks(self, view: View) -> Iterator[bool]:
        request, grant = view.request, view.grant
        yield self.since is None or request.submitted_at >= self.since
        yield self.until is None or request.submitted_at < self.until
        yield self.actor in ("", request.actor, request.actor.partition(":")[2])
        yield not self.person or self._person(view)
        yield not self.role or self.role in _roles(view)
        yield not self.action or any(_touches(self.action.lower(), one.lower()) for one in _actions(view))
        yield not self.resource or any(_touches(self._pattern, one) for one in _resources(view))
        yield self.state in ("", request.state) or bool(grant and self.state == grant.state != GrantState.PENDING)
        yield self.because in ("", request.because)
        yield not self.proof or bool(grant and grant.proof and grant.proof.kind == self.proof)
        yield not self.flagged or bool(grant and grant.flagged)
        yield not self.break_glass or request.after_review is not None

    @property
    def _pattern(self) -> str:
        return self.resource if "*" in self.resource else f"{self.resource}*"

    def _person(self, view: View) -> bool:
        parts = (self.role_played,) if self.role_played else AS
        return any(self.person in people(view, part) for part in parts)


def people(view: View, part: str) -> frozenset[str]:
    """Return who played a part in a request: `asked`, `decided`, `revoked`, `behind`."""
    request, grant = view.request, view.grant
    match part:
        case "asked":
            return frozenset({request.principal})
        case "behind":
            return frozenset({request.action.actor.on_behalf_of or ""})
        case "revoked":
            return frozenset({grant.ending.by}) if grant and grant.ending else frozenset()
        case _:
            after = request.after_review.by if request.after_review else None
            seats = {name or "" for one in request.reviews for name in (one.reviewer, one.lent_by)}
            return frozenset(seats | {request.decided_by or "", after or ""})


def parse(given: Mapping[str, str], now: datetime) -> Query:
    """Read a query from its fields; empty ones are left out. Raises Malformed, naming the field and the remedy."""
    found = {name: text.strip() for name, text in given.items() if text.strip()}
    for name, text in found.items():
        if name not in FIELDS:
            raise Malformed(f"{name[:64]} is nothing to search by; there is {', '.join(FIELDS)}", field=name[:64])
        if len(text) > LONGEST:
            raise Malformed(f"{name} has {len(text):,} characters; write at most {LONGEST:,}", field=name)
    since, until = (asked_moment(name, found[name], now) if name in found else None for name in MOMENTS)
    if since and until and since >= until:
        raise Malformed("nothing lies between `from` and `to`; write a `to` that is later", field="to")
    person = found.get("person", "")
    if "as" in found and not person:
        raise Malformed("as says which part a person played; write the person, too", field="as")
    return Query(
        actor=found.get("actor", ""),
        person=person if ":" in person or not person else f"user:{person}",
        role_played=_one_of(found, "as", AS),
        resource=found.get("resource", ""),
        action=found.get("action", ""),
        role=found.get("role", ""),
        since=since,
        until=until,
        state=_one_of(found, "state", STATES, upper=True),
        because=_one_of(found, "because", tuple(Because)),
        proof=_one_of(found, "proof", tuple(ProofKind)),
        flagged=_flag(found, "flagged"),
        break_glass=_flag(found, "break_glass"),
    )


def _one_of(found: Mapping[str, str], name: str, known: tuple[str, ...], *, upper: bool = False) -> str:
    text = found.get(name, "")
    text = text.upper() if upper else text
    if text and text not in known:
        raise Malformed(f"{name} is one of {', '.join(known)}", field=name)
    return text


def _flag(found: Mapping[str, str], name: str) -> bool:
    text = found.get(name, "")
    if text and text not in YES:
        raise Malformed(f"{name} takes no value but 1; leave it out for all", field=name)
    return bool(text)


def _roles(view: View) -> Iterator[str]:
    if view.request.plan:
        yield view.request.plan.role
    if view.request.action.access:
        yield view.request.action.access.role


def _actions(view: View) -> Iterator[str]:
    yield view.request.action.action
    yield from view.request.facts.actions
    if view.request.plan:
        yield from view.request.plan.actions


def _resources(view: View) -> Iterator[str]:
    yield view.request.action.resource
    yield from view.request.facts.resources
    if view.request.plan:
        yield from view.request.plan.resources


def _touches(pattern: str, asked: str) -> bool:
    """Tell whether the two have a name in common; of two long patterns, whether they begin alike: found, not missed."""
    wild = "*" in asked or "?" in asked
    if wild and len(pattern) * len(asked) > DEAR:
        first, other = pattern.partition("*")[0], _WILD.split(asked, maxsplit=1)[0]
        return first.startswith(other) or other.startswith(first)
    return Patterns((pattern,)).touches(asked)
