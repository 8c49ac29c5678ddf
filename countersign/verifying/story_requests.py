"""Follow one request: its moves, its answers in time and by different people, its use, and what is owed for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from approvers.applying_ruling import APPLY
from approvers.consuming import USE_WITHIN
from approvers.grant import GrantState
from countersign.verifying.story_grants import ENDED, GrantLife

OVER, USED, UNSEEN = "OVER", "USED", "UNSEEN"
"""Words that stand for a request: it is over, its approval was used, its beginning is not in this log."""
LATER = frozenset(
    {
        "break_glass.review_refused", "credential.collected", "grant.collected", "grant.extended", "grant.flagged",
        "grant.reported", "request.folded", "review.refused", "text.erased",
    }
)  # fmt: skip
"""What may come of a request that is over."""
CLOSING = {"request.approved": "APPROVED", "request.denied": "DENIED", "request.expired": "EXPIRED",
           "request.cancelled": "CANCELLED"}  # fmt: skip
BECAUSE: Mapping[str, tuple[str, ...]] = {
    "allow": ("rule",),
    "break_glass": ("break_glass",),
    "deny": ("rule", "not_evaluated"),
    "review": ("quorum", "reviewer", "rule", "not_evaluated", "nobody_answered", "nobody_reached"),
}
Said = tuple[str, str]


def after_end(word: str, kind: str, subject: str) -> Iterator[Said]:
    """Say what is wrong with one more record of a request that is over."""
    if word == USED and kind == "request.consumed":
        yield "bad_story", f"the approval of {subject} is used twice: one approval, one action"
    elif word != UNSEEN and kind not in LATER:
        yield "bad_story", f"{kind} comes after {subject} is over"


class Life:
    """How one request stands. `line`: where it was submitted; `word`: how it was decided."""

    __slots__ = (
        "_action", "_actors", "_asker", "_barred", "_because", "_decided_at", "_digest", "_due", "_effect",
        "_expires_at", "_grant", "_reviewed", "_seats", "_spoken", "_ttl", "_used", "_voices", "_wanted",
        "line", "word",
    )  # fmt: skip

    def __init__(self, record: Mapping[str, Any], at: datetime, line: int) -> None:
        """Begin with the record of the ask."""
        data, by = record["data"], record["by"]
        action, ruling = data["action"], data["ruling"]
        self.line, self.word = line, "PENDING"
        self._action, self._digest, self._ttl = action["action"], data["action_digest"], action["ttl_seconds"]
        self._wanted, self._effect = data["plan"], ruling["effect"]
        actor = action["actor"]
        self._asker = by["person"]
        self._actors = frozenset(filter(None, (by["person"], actor["id"], actor.get("on_behalf_of"))))
        self._seats, self._barred = ruling["seats"], frozenset(ruling["barred"])
        self._expires_at = at + timedelta(seconds=ruling["expires_after_seconds"] or 0)
        self._spoken: dict[str, str] = {}
        self._voices: dict[str, tuple[str, ...]] = {}
        self._decided_at: datetime | None = None
        self._because = ""
        self._grant: GrantLife | None = None
        self._used = self._reviewed = False
        self._due: datetime | None = None

    # ---- how it stands

    @property
    def waits(self) -> bool:
        """Tell whether it is not decided."""
        return self.word == "PENDING"

    def over(self) -> str | None:
        """Return a word in place of all this once nothing more can come that matters; None before."""
        if self.waits or (self._because == "break_glass" and not self._reviewed):
            return None
        if self.word != "APPROVED":
            return OVER
        if self._wanted is None:
            return USED if self._used else None
        return OVER if self._grant is not None and self._grant.state in ENDED else None

    def usable_until(self) -> datetime | None:
        """Return until when an approval counts that is of an action alone, and not for ever; None of any other."""
        if (
            self._wanted is not None
            or self._decided_at is None
            or self._action == APPLY
            or self._because == "break_glass"
        ):
            return None
        return self._decided_at + self._use_within()

    def _use_within(self) -> timedelta:
        return min(USE_WITHIN, timedelta(seconds=self._ttl)) if self._ttl else USE_WITHIN

    def due(self) -> datetime | None:
        """Return when what it still waits for should have come; None where nothing has to."""
        if self.waits:
            return self._expires_at
        owed = self._due if self._because == "break_glass" and not self._reviewed else None
        grant = self._grant.due() if self._grant else None
        if self.word == "APPROVED" and self._wanted is not None and self._grant is None:
            return self._decided_at
        return min(filter(None, (owed, grant)), default=None)

    def lacks(self) -> str:
        """Say what it still waits for."""
        if self.waits:
            return "was never answered, closed or withdrawn"
        if self._grant is not None and self._grant.due() is not None:
            return f"has a grant that is {self._grant.state}, with no proof of its end"
        return "is a use of break-glass that nobody has reviewed" if self._grant or not self._wanted else "has no grant"

    # ---- what happens

    def begins(self, extends: Life | str | None) -> Iterator[Said]:
        """Yield what is wrong with the ask itself; `extends`: the request of the grant that it goes on with, if any."""
        actor_bars = {who for who in self._actors if who.startswith("user:")}
        if self._effect == "review" and not actor_bars <= self._barred:
            missing = ", ".join(sorted(actor_bars - self._barred))
            yield "bad_story", f"{missing} asks, acts or stands behind it, and is not barred from answering"
        if self._effect in ("review", "break_glass") and not sum(self._seats.values()):
            yield "bad_story", "people are asked for it, and it has no seat"
        if isinstance(extends, Life):
            if extends._grant is None or extends._grant.state is not GrantState.ACTIVE:
                yield "bad_story", "it goes on with a grant that is not live"
            elif self._asker not in extends._actors:
                yield "bad_story", f"it goes on with a grant of another principal than {self._asker}"
        elif extends not in (None, UNSEEN):
            yield "bad_story", "it goes on with a grant that has ended"

    def told(self, record: Mapping[str, Any], at: datetime, *, frozen: bool) -> Iterator[Said]:
        """Take its next record; yield (code, what) where it cannot have happened."""
        kind, data = record["type"], record["data"]
        stopped = frozen and self._because != "break_glass"
        if kind in CLOSING:
            yield from self._closes(kind, data, at, frozen=frozen)
        elif kind == "grant.opened":
            yield from self._opens(data, at)
        elif kind.startswith("grant."):
            if self._grant is None:
                yield "bad_story", f"{kind} comes without a grant that was opened"
            else:
                yield from self._grant.told(kind, data, at, stopped=stopped)
        elif (step := _STEPS.get(kind)) is not None:
            yield from step(self, record, at)

    def _closes(self, kind: str, data: Mapping[str, Any], at: datetime, *, frozen: bool) -> Iterator[Said]:
        if not self.waits:
            yield "bad_story", f"{kind}: it is {self.word} already, which nothing changes"
        if kind == "request.expired" and at < self._expires_at:
            yield "bad_story", f"it expires at {at:%T}, and answers count until {self._expires_at:%T}"
        self._because, self._decided_at = data.get("because", ""), at
        self.word = CLOSING[kind]
        if data["state"] != self.word:
            yield "bad_story", f"{kind} says that it is {data['state']}"
        if kind != "request.cancelled" and self._because not in BECAUSE[self._effect]:
            yield "bad_story", f"the ruling is {self._effect}, and it is {self.word} because of {self._because}"
        if self.word == "APPROVED":
            yield from self._approves(data, frozen=frozen)
        elif self._because == "reviewer" and "deny" not in self._spoken.values():
            yield "bad_story", "it is denied by a reviewer, and nobody has said no"

    def _approves(self, data: Mapping[str, Any], *, frozen: bool) -> Iterator[Said]:
        if frozen and self._because != "break_glass" and self._action != APPLY:
            yield "bad_story", "it is approved while approvals are stopped"
        if self._effect == "deny":
            yield "bad_story", "it is approved, and the ruling denies it"
        if self._effect != "review":
            return
        if "deny" in self._spoken.values():
            yield "bad_story", "it is approved, and somebody has said no"
        seated = [person for people in data["filled"].values() for person in people]
        if len(set(seated)) != len(seated):
            yield "bad_story", f"one person fills two seats: {', '.join(sorted(seated))}"
        for group, count in self._seats.items():
            people = [one for one in data["filled"].get(group, ()) if group in self._voices.get(one, ())]
            if len(people) < count:
                wants = f"{count} of {group} have to approve, and {len(people)} did"
                yield "bad_story", f"it is approved without its quorum: {wants}"

    def _answers(self, record: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        data, person = record["data"], record["by"]["person"]
        if not self.waits or self._effect != "review":
            yield "bad_story", f"{person} answers a request that is {self.word} and asks nobody"
        if at >= self._expires_at:
            yield "bad_story", f"{person} answers at {at:%F %T}, and it expired at {self._expires_at:%F %T}"
        for who in filter(None, (person, data["lent_by"])):
            if who in self._actors or who in self._barred:
                yield "bad_story", f"{who} answers what they ask, do, stand behind or own: nobody approves their own"
            elif who in self._spoken:
                yield "bad_story", f"{who} answers twice: one person, one seat"
            self._spoken[who] = data["verdict"]
        if data["verdict"] == "approve":
            self._voices[person] = tuple(data["groups"])

    def _rerules(self, record: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        data, ruling = record["data"], record["data"]["ruling"]
        if not self.waits:
            yield "bad_story", f"it is {self.word}, and is ruled on again"
        until = datetime.fromisoformat(data["expires_at"])
        if until > self._expires_at or not self._barred <= set(ruling["barred"]):
            yield "bad_story", "the new ruling is more lenient than the one before it"
        self._effect, self._seats, self._barred = ruling["effect"], ruling["seats"], frozenset(ruling["barred"])
        self._expires_at = until

    def _narrows(self, record: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        granted, asked = record["data"]["granted"], self._wanted
        if asked is None or not self._spoken:
            yield "bad_story", "it is narrowed, and nobody has approved it or there is nothing to narrow"
            return
        if granted["ttl_seconds"] > asked["ttl_seconds"] or not set(granted["actions"]) <= set(asked["actions"]):
            yield "bad_story", "what a reviewer made of it is more than was asked"
        self._wanted = {**asked, **{name: granted[name] for name in ("actions", "resources", "ttl_seconds")}}

    def _opens(self, data: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        if self.word != "APPROVED" or self._grant is not None or self._wanted is None:
            yield "bad_story", "a grant is opened without an approval of its own"
        plan, wanted = data["plan"], self._wanted or {}
        more = [name for name in plan if name in wanted and plan[name] != wanted[name]]
        if more:
            yield "bad_story", f"the grant is not what was approved: {', '.join(sorted(more))} differ"
        self._grant = GrantLife(data, at)

    def _consumes(self, record: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        data = record["data"]
        if self.word != "APPROVED" or self._wanted is not None:
            yield "bad_story", "it is used, and is no approval of an action"
        if data.get("action_digest", self._digest) != self._digest:
            yield "bad_story", "it is used for another action than was approved"
        within = self._use_within()
        if self._action != APPLY and self._decided_at is not None and at >= self._decided_at + within:
            yield "bad_story", f"it is used {at - self._decided_at} after its approval, which holds {within}"
        self._used = True

    def _breaks(self, record: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        if self._because != "break_glass":
            yield "bad_story", "break-glass is used, and it was not what decided"
        self._due = datetime.fromisoformat(record["data"]["due_at"])

    def _overdue(self, record: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        if self._due is None or at < self._due:
            yield "bad_story", "its after-review is called late before it is"
        yield "flag", "its after-review is late"

    def _reviews_after(self, record: Mapping[str, Any], at: datetime) -> Iterator[Said]:
        who = record["by"]["person"]
        if self._due is None or self._reviewed:
            yield "bad_story", "an after-review is given that nobody owes"
        if who in self._actors or who in self._barred:
            yield "bad_story", f"{who} reviews their own use of break-glass"
        if self._due is not None and at >= self._due:
            yield "flag", f"its after-review came {at - self._due} late"
        if record["data"]["verdict"] == "unjustified":
            yield "flag", "its use of break-glass was found to be unjustified"
        self._reviewed = True


_STEPS: Mapping[str, Callable[[Life, Mapping[str, Any], datetime], Iterator[Said]]] = {
    "break_glass.overdue": Life._overdue,
    "break_glass.reviewed": Life._reviews_after,
    "break_glass.used": Life._breaks,
    "request.consumed": Life._consumes,
    "request.narrowed": Life._narrows,
    "request.reruled": Life._rerules,
    "review.recorded": Life._answers,
}
