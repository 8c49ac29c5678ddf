"""Write the records of one request as the product writes them, by a clock of the test's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from approvers import grant as grants
from approvers import request as requests
from approvers.audit import By, Draft, Head, head_of, link
from approvers.card import shown_digest
from approvers.card_shown import text_of
from approvers.grant import Grant, Proof, ProofKind
from approvers.narrowing import Narrow, narrowed, parts
from approvers.quorum import Review
from approvers.request import AfterReview, Because, Request, RequestState
from approvers.texts import restore
from approvers.times import stamp
from bot.commits import decision
from tests.worlds import samples

POLICY = By(None, "countersign", "policy")
WORKER = By(None, "countersign", "worker")


class Play:
    """One request and its grant, as they move; `records` are what was written, parsed."""

    def __init__(self, *, handle: str = "K7QF", after: timedelta = timedelta(), **ask: Any) -> None:
        self.now = samples.NOW + after
        made = samples.request(now=self.now, **ask)
        self.request: Request = made.model_copy(update={"handle": handle})
        self.grant: Grant | None = None
        self.bodies: list[bytes] = []
        self.texts: dict[str, str] = {}
        self._head = Head()
        asked = {
            "action": made.action, "action_digest": made.action_digest, "facts": made.facts, "handle": handle,
            "plan": made.plan, "ruling": made.ruling, "roster_sha256": "0" * 64, "body_sha256": "1" * 64,
        }  # fmt: skip
        self.write("request.submitted", By(made.principal, "api-key", "key_1"), "api", asked)
        if made.state is not RequestState.PENDING:
            self.close(POLICY, "policy")

    @property
    def records(self) -> list[dict[str, Any]]:
        return [restore(json.loads(body), self.texts) for body in self.bodies]

    def write(self, kind: str, by: By, via: str, data: Mapping[str, Any]) -> None:
        seed = len(self.bodies).to_bytes(32, "big")
        (entry,) = link([Draft(self.request.id, kind, by, via, data)], self.now, {self.request.id: self._head}, seed)
        self.bodies.append(entry.body)
        self.texts.update(entry.texts)
        self._head = head_of(entry.body, entry.n)

    def later(self, **time: float) -> Play:
        self.now += timedelta(**time)
        return self

    def person(self, name: str, via: str = "slack") -> By:
        return By(f"user:{name}", f"{via}:T01", f"U-{name}")

    def review(self, name: str, verdict: Any = "approve", reason: str = "", *, lent_by: str | None = None,
               narrow: Narrow | None = None, via: str = "slack") -> Play:  # fmt: skip
        """Record one answer as it counts, and what it brings."""
        before = self.request
        if narrow:
            self.request = narrowed(self.request, narrow, f"user:{name}", self.now)
        lender = f"user:{lent_by}" if lent_by else None
        card = {"digest": shown_digest(before), **({} if before.reviews else {"text": text_of(before)})}
        one = Review(reviewer=f"user:{name}", verdict=verdict, reason=reason, at=self.now, groups=("sre",),
                     via=via, lent_by=lender)  # fmt: skip
        reviews = (*self.request.reviews, one)
        self.request = self.request.model_copy(update={"reviews": reviews})
        told: dict[str, Any] = {"verdict": verdict, "reason": reason, "groups": ["sre"],
                                "shown": shown_digest(before), "card": card,
                                "lent_by": lender, "seen_in": {}}  # fmt: skip
        told |= {"policy_sha256": self.request.ruling.policy_sha256, "roster_sha256": "0" * 64, "fill_in": [],
                 "lenders": {lender: ["sre"]} if lender else {}, "own_groups": ["sre"]}  # fmt: skip
        self.write("review.recorded", self.person(name, via), via, told)
        if narrow and before.plan and self.request.plan:
            smaller = {"asked": parts(before.plan), "granted": parts(self.request.plan)}
            self.write("request.narrowed", self.person(name, via), via, smaller)
        changes = {"decided_at": self.now, "decided_by": f"user:{name}"}
        if verdict == "deny":
            self._became(RequestState.DENIED, Because.REVIEWER, **changes)
        elif self.request.tally().satisfied:
            self._became(RequestState.APPROVED, Because.QUORUM, **changes)
        if self.request.state is not RequestState.PENDING:
            self.close(self.person(name, via), via)
        return self

    def close(self, by: By, via: str) -> None:
        """Record the decision, and the grant that it opens."""
        self.write(f"request.{self.request.state.lower()}", by, via, decision(self.request))
        if self.request.state is RequestState.APPROVED and self.request.plan:
            self.grant = requests.open_grant(self.request, self.now)
            told = {"grant": self.grant.id, "plan": self.grant.plan, "approved_by": list(self.grant.approved_by),
                    "mint_by": stamp(self.grant.mint_by)}  # fmt: skip
            self.write("grant.opened", by, "desk", told)

    def expire(self, *, reached: bool = True) -> Play:
        after = requests.expire(self.request, self.now, reached=reached)
        told = {"state": after.state, "because": after.because, "seats": dict(after.ruling.seats),
                "expires_at": stamp(after.expires_at)}  # fmt: skip
        self.write("request.expired", By(None, "countersign", "clock"), "clock", told)
        return self

    def take(self, reason: str) -> Play:
        """Turn the ask into a use of break-glass."""
        due = self.now + timedelta(hours=24)
        self._became(RequestState.APPROVED, Because.BREAK_GLASS, after_review=AfterReview(due_at=due))
        self.close(POLICY, "policy")
        told = {
            "reason": reason,
            "ticket": "INC-42",
            "due_at": stamp(due),
            "action_digest": self.request.action_digest,
            "plan_sha256": "2" * 64,
        }
        self.write("break_glass.used", By("caller:report-bot", "api-key", "key_1"), "api", told)
        return self

    def found(self, name: str, verdict: str, reason: str) -> Play:
        told = {"verdict": verdict, "reason": reason, "used_by": self.request.principal, "late": False,
                "groups": ["sre"], "seen_in": {}, "policy_sha256": "0" * 64, "roster_sha256": "0" * 64}  # fmt: skip
        self.write("break_glass.reviewed", self.person(name), "slack", told)
        return self

    def mint(self) -> Play:
        assert self.grant
        self.grant = grants.claim(self.grant, self.now, timedelta(seconds=920))
        self._moved("grant.claimed")
        self.later(seconds=1)
        ends = self.now + timedelta(seconds=self.grant.plan.ttl_seconds)
        self.grant = grants.minted(self.grant, self.now, access_key_id="ASIAEXAMPLE", ends_at=ends, expiration=ends)
        self._moved("grant.minted")
        return self

    def collect(self) -> Play:
        assert self.grant
        told = {"grant": self.grant.id, "access_key_id": "ASIAEXAMPLE"}
        self.write("credential.collected", By("caller:report-bot", "api-key", "key_1"), "api", told)
        return self

    def end(self, event: str, by: str, reason: str = "", proof: ProofKind = ProofKind.PROBE_DENIED) -> Play:
        """End the grant, and prove it 1.234 s later."""
        assert self.grant
        self.grant = grants.end(self.grant, event, self.now, by=by, reason=reason)
        kinds = {"revoke": "grant.revoke_requested", "ttl_elapsed": "grant.ended", "release": "grant.release_requested"}
        who = self.person(by.removeprefix("user:")) if by.startswith("user:") else WORKER
        if event != "kill":
            self._moved(kinds[event], who)
        self.later(seconds=1.234)
        shown = Proof(kind=proof, at=self.now, seconds="1.234", refused=3, asked=3, detail="AccessDenied three times")
        self.grant = grants.proven(self.grant, shown, deny_written=True)
        self._moved("grant.revoked")
        return self

    def kill(self, said: str) -> Play:
        assert self.grant
        ending = grants.end(self.grant, "kill", self.now, by="system:monitoring", reason=said)
        flags = [{"kind": "escalation", "points": 60, "through": True, "calls": ["10:04:09 iam:CreateUser on eve"]}]
        told = {**grants.facts(ending), "points": 60, "flags": flags, "said": said, "writes": "1 write: iam:CreateUser"}
        self.write("grant.kill_requested", WORKER, "worker", told)
        return self

    def report(self, text: str, used: tuple[str, ...]) -> Play:
        assert self.grant
        told = {"grant": self.grant.id, "text": text, "used": list(used), "never": [], "unseen": [], "points": 0,
                "flags": [], "said": "", "calls": 12, "refusals": 0, "writes": 0, "proposal": None}  # fmt: skip
        self.write("grant.reported", WORKER, "worker", told)
        return self

    def _became(self, state: RequestState, because: Because, **changes: Any) -> None:
        self.request = self.request.model_copy(update={"state": state, "because": because, **changes})

    def _moved(self, kind: str, by: By = WORKER) -> None:
        assert self.grant
        self.write(kind, by, "worker", grants.facts(self.grant))


def at(moment: datetime) -> str:
    """Spell a moment as records do."""
    return stamp(moment)
