"""Mint, revoke and verify by executables of the operator's: JSON goes in, JSON comes out (docs/commands.md).

So a team attaches a database or a cluster without writing Python. What they promise is declared in the roster and
pinned in each plan; what they answer is believed only in the agreed form. Whatever else comes of a call (another exit
code, no answer in time, an answer that cannot be read) is an unknown outcome, and for a mint that means: revoke.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from approvers import environment
from approvers.errors import CountersignError
from approvers.grant import Plan, ProofKind
from approvers.strict_json import load
from approvers.times import Moment, stamp
from workers import logs
from workers.providers.command_files import Unusable, executable
from workers.providers.command_process import CannotStart, Ran, run
from workers.providers.documents import checked_grant_id
from workers.providers.port import (
    Caps,
    Handle,
    Minted,
    NotSent,
    OutcomeUnknown,
    ProofOutcome,
    ProviderError,
    Reading,
    Refused,
    Secret,
    check_in_time,
)
from workers.providers.probing import Answer, Pace, Told, read
from workers.providers.steady import Steady

CALL_SECONDS = 10.0
"""How long one executable may take; with a verification after it, it still fits into the lease."""
VERIFY_SECONDS = 9.0
"""How long all readings of one verification may take together."""
PACE = Pace(patience_seconds=6.0)
REFUSED, NOT_SENT = 10, 11
"""Exit codes with which an executable says that it has done nothing: for good, or for now."""
CLOCKS_APART = timedelta(minutes=10)
"""How far an answered end may lie from what was asked for: their clock and ours differ, and no more than that."""
ANY = Caps(
    min_ttl=timedelta(seconds=1), max_ttl=timedelta(hours=12), early_revoke="per_grant", typical_lag=timedelta()
)  # fmt: skip
_log = logs.get_logger(__name__)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


A = TypeVar("A", bound=_Answer)


class _Done(_Answer):
    """`revoke` and `collect`: it is done."""


class _Minted(_Answer):
    handle: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}$")]
    environment: dict[str, str]
    ends_at: Moment


class _Verified(_Answer):
    outcome: Literal["ended", "alive", "unknown"]
    control: Literal["alive", "unreachable"]
    detail: Annotated[str, StringConstraints(max_length=2_000)] = ""


class _Leftovers(_Answer):
    grants: list[Annotated[str, StringConstraints(pattern=r"^grt_[0-9A-HJKMNP-TV-Z]{26}$")]]


class CommandProvider:
    """Speak to one provider's executables. What they can promise stands in each plan; `caps` is the widest."""

    caps: Caps = ANY

    def __init__(
        self,
        folder: Path,
        *,
        pace: Pace = PACE,
        seconds: float = CALL_SECONDS,
        now: Callable[[], datetime] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the folder of `mint`, `revoke` and `verify`; `pace`: how often to ask whether a credential is over."""
        self._folder, self._pace, self._seconds, self._sleep = folder, pace, seconds, sleep
        self._now, self._steady = now or (lambda: datetime.now(UTC)), now or Steady()

    def mint(self, grant_id: str, plan: Plan, not_after: datetime | None = None) -> Minted:
        """Have a credential made for exactly the plan. Raises Refused, NotSent or OutcomeUnknown."""
        asked_at = self._now()
        check_in_time(asked_at, not_after)
        ran = self._run("mint", Handle(checked_grant_id(grant_id), plan))
        got = self._understood("mint", ran, _Minted)
        if why := environment.fault(got.environment):
            raise OutcomeUnknown(f"{self._name} mint answered with {why}")
        longest = timedelta(seconds=plan.ttl_seconds) + CLOCKS_APART
        if not asked_at - CLOCKS_APART < got.ends_at <= self._now() + longest:
            raise OutcomeUnknown(f"{self._name} mint answered an end that was not asked for: {stamp(got.ends_at)}")
        secret = Secret(got.handle, "", "", got.ends_at, got.environment)
        return Minted(secret, got.ends_at, got.ends_at, request_id=grant_id)

    def revoke(self, handle: Handle) -> None:
        """Have every credential of the grant ended, and what it opened. Raises ProviderError; safe to repeat."""
        checked_grant_id(handle.grant_id)
        self._understood("revoke", self._run("revoke", handle), _Done)

    def verify(self, handle: Handle, kind: ProofKind) -> Reading:
        """Ask three times in a row whether the grant's credential is over; what cannot be asked counts as UNKNOWN."""
        checked_grant_id(handle.grant_id)
        until = time.monotonic() + VERIFY_SECONDS
        control = Told(Answer.UNCLEAR)

        def of_grant() -> Told:
            nonlocal control
            grant, control = self._told(handle, kind, until)
            return grant

        found = read(of_grant, lambda: control, self._pace, now=self._steady, sleep=self._sleep)
        detail = f"{self._name}: {self._found(found.outcome)}: {control.words or 'no word'}"
        return replace(found, detail=detail, unanswered=control.answer is not Answer.ALLOWED)

    def collect(self, handle: Handle) -> None:
        """Have removed what `revoke` left behind, if it leaves anything. Raises ProviderError; safe to repeat."""
        checked_grant_id(handle.grant_id)
        if self._has("collect"):
            self._understood("collect", self._run("collect", handle), _Done)

    def leftovers(self, plan: Plan) -> list[str]:
        """Return the ids of grants that the executables know of still; none where they do not tell."""
        if not self._has("leftovers"):
            return []
        ran = self._run("leftovers", Handle("", plan))
        return self._understood("leftovers", ran, _Leftovers).grants

    @property
    def _name(self) -> str:
        return self._folder.name

    def _found(self, outcome: ProofOutcome) -> str:
        """Say what the readings showed."""
        match outcome:
            case ProofOutcome.PROVEN:
                return f"over {self._pace.in_a_row} times in a row, while the system itself answered"
            case ProofOutcome.STILL_ACTIVE:
                return "the credential still works"
            case ProofOutcome.UNKNOWN:
                return "nobody can tell whether the credential still works"

    def _told(self, handle: Handle, kind: ProofKind, until: float) -> tuple[Told, Told]:
        """Return what `verify` says of the grant, and of the system that it asked."""
        left = until - time.monotonic()
        if left <= 0:
            return Told(Answer.UNCLEAR), Told(Answer.UNCLEAR, "it answers too slowly")
        try:
            ran = self._run("verify", handle, kind, min(left, self._seconds))
            got = self._understood("verify", ran, _Verified)
        except ProviderError as error:
            return Told(Answer.UNCLEAR), Told(Answer.UNCLEAR, str(error))
        outcomes = {"ended": Answer.EXPLICIT_DENY, "alive": Answer.ALLOWED, "unknown": Answer.UNCLEAR}
        words = "".join(char if char.isprintable() else " " for char in logs.scrub(got.detail))[:300]
        there = Answer.ALLOWED if got.control == "alive" else Answer.UNCLEAR
        return Told(outcomes[got.outcome]), Told(there, words if there is Answer.ALLOWED else f"unreachable; {words}")

    def _has(self, call: str) -> bool:
        try:
            return executable(self._folder, call) is not None
        except Unusable as error:
            raise NotSent(str(error)) from None

    def _run(self, call: str, handle: Handle, kind: ProofKind | None = None, seconds: float | None = None) -> Ran:
        """Run one executable. Raises NotSent if it could not be started, Refused or NotSent as its exit code says."""
        try:
            program = executable(self._folder, call)
            assert program is not None
            ran = run(program, _asked(call, handle, kind), seconds or self._seconds, self._folder)
        except Unusable as error:
            raise NotSent(str(error)) from None
        except CannotStart as error:
            raise NotSent(f"{self._name} {call} cannot be started: {error.strerror}") from None
        if ran.words:
            _log.info("command.said", provider=self._name, call=call, grant=handle.grant_id, words=ran.words)
        said = f"{self._name} {call} said: {ran.words or 'nothing'}"
        if ran.code == REFUSED:
            raise Refused(said)
        if ran.code == NOT_SENT:
            raise NotSent(said)
        if ran.code != 0:
            raise OutcomeUnknown(f"{said} (exit code {ran.code})" if ran.code is not None else said)
        return ran

    def _understood(self, call: str, ran: Ran, form: type[A]) -> A:
        """Read what it answered. Raises OutcomeUnknown, which names the field and repeats nothing that was said."""
        try:
            return form.model_validate(load(ran.out))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = str(first["loc"][0]) if first["loc"] and first["type"] != "extra_forbidden" else "its fields"
        except (CountersignError, ValueError):
            where = "it, which is no JSON object"
        raise OutcomeUnknown(f"{self._name} {call} answered something else than agreed: see {where}")


def _asked(call: str, handle: Handle, kind: ProofKind | None) -> bytes:
    """Return what an executable reads: one JSON object on one line."""
    plan = handle.plan
    body: dict[str, object] = {
        "v": 1,
        "call": call,
        "grant": handle.grant_id or None,
        "provider": plan.provider,
        "role": plan.role,
        "actions": plan.actions,
        "resources": plan.resources,
        "ttl_seconds": plan.ttl_seconds,
        "ends_at": stamp(handle.ends_at) if handle.ends_at else None,
    }
    if kind is not None:
        body["proof"] = str(kind)
    return json.dumps(body).encode() + b"\n"
