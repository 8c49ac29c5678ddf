"""Render the parts of a page that change: the list, one request, the rules."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment

from approvers import card_after_review as after_words
from approvers.activity_answer import activity_answer
from approvers.card import Card, render, visible
from approvers.grant import LIVE, Grant
from approvers.ids import request_of
from approvers.request import RequestState
from approvers.times import stamp
from bot import ledger
from bot.activities import activity_of
from bot.commands_why import why
from bot.deps import Deps
from bot.reading import NotFound, View
from bot.reviewer_figures import Reviewers
from bot.reviewers import MAX_CLICKS
from bot.stories import story_of
from bot.surfaces.console_mold import Mold
from bot.telling import name, raw
from workers.policies import KEYS
from workers.stores import layout
from workers.stores.port import Log
from workers.stores.window import onwards

MAX_ENDED = 12
MAX_LINES = 200
MAX_CARDS = 50
"""Of each list; the oldest come first, and the others move up."""
LOOK_BACK = 500
"""How many audit records are read, at most, to learn what ended since somebody last looked."""
ENDING = re.compile(
    rb'"type":"(?:request\.(?:approved|denied|expired|cancelled|consumed)|grant\.(?:revoked|refused|overtaken))"'
)
"""A record of one of these kinds may have closed its request; quotes inside typed text are escaped, and don't match."""


@dataclass
class Ended:
    """Remember which requests ended lately, newest last, by reading on in the log."""

    log: Log
    position: int = 0
    recent: dict[str, None] = field(default_factory=dict)

    async def read_on(self) -> list[str]:
        """Return the ids of requests that may have ended, newest first."""
        self.position = max(self.position, await self.log.size() - LOOK_BACK)
        while (page := await onwards(self.log, self.position, LOOK_BACK)).bodies:
            self.position = page.first - 1 + len(page.bodies)
            for body in page.bodies:
                if ENDING.search(body) and (subject := json.loads(body)["subject"]).startswith("req_"):
                    self.recent.pop(subject, None)
                    self.recent[subject] = None
        for oldest in list(self.recent)[:-LOOK_BACK]:
            del self.recent[oldest]
        return list(reversed(self.recent))


class Fragments:
    """Read state and render it."""

    def __init__(self, deps: Deps, env: Environment, mold: Mold) -> None:
        self._deps, self._env, self._mold = deps, env, mold
        self._ended = Ended(deps.store.log)
        self._reviewers = Reviewers(deps)
        self._one_at_a_time = asyncio.Lock()
        self._drawn: tuple[int, str] | None = None

    async def overview(self) -> str:
        """Return what waits, what is live and what ended lately; rendered once per length of the log."""
        async with self._one_at_a_time:
            size = await self._deps.store.log.size()
            if self._drawn is None or self._drawn[0] != size:
                self._drawn = (size, await self._draw())
            return self._drawn[1]

    async def _draw(self) -> str:
        members = self._deps.store.records.members
        counts = await self._deps.store.signals.counts()
        waiting = await self._deps.reader.views(await members(layout.WAITING, limit=MAX_CARDS))
        live = await self._deps.reader.views(
            [request_of(one) for one in await members(layout.LIVE_INDEX, limit=MAX_CARDS)]
        )
        return self.fill(
            "_list.html",
            waiting=self.cards(waiting),
            waiting_in_all=counts.get(f"size:{layout.WAITING}", 0),
            live=self.cards(live),
            live_in_all=counts.get(f"size:{layout.LIVE_INDEX}", 0),
            ended=self.cards(await self.ended()),
            frozen=await self._frozen(),
        )

    async def ended(self) -> list[View]:
        """Return what ended lately, newest first."""
        candidates = await self._deps.reader.views((await self._ended.read_on())[: 3 * MAX_ENDED])
        return [view for view in candidates if has_ended(view)][:MAX_ENDED]

    async def request(self, request_id: str) -> str:
        """Return one request: card, facts, grant, timeline. Raises NotFound."""
        view = await self._deps.reader.look(request_id)
        told = await story_of(self._deps.store.log, view.request)
        lines = told.story.lines[-MAX_LINES:]
        seen = await activity_of(self._deps.store.records, view.grant) if view.grant else None
        return self.fill(
            "_request.html",
            card=render(view.request, view.grant),
            view=view,
            activity=activity_answer(view.grant, seen) if view.grant and seen else None,
            proof=view.grant.proof if view.grant else None,
            details=[*_details(view), *await ledger.shown(self._deps, request_id)],
            story=told.story,
            lines=lines,
            raw={line.n: raw(told.records[line.n]) for line in lines if line.n in told.records},
            hidden=len(told.story.lines) - len(lines),
            whole=not told.fault,
            unfilled=_unfilled(view),
            why=why(view.request, self._deps.policies.current),
            frozen=await self._frozen(),
        )

    async def policy(self) -> str:
        """Return the rules as applied: text, hash, who, when and why. Raises NotFound before the first apply."""
        seen = await self._deps.store.records.read(KEYS)
        files = []
        for title, key in (("Policy", layout.POLICY), ("Roster", layout.ROSTER)):
            if not seen.records[key].version:
                raise NotFound("No policy is applied yet: run `countersign apply countersign.toml policy.toml`.")
            record = json.loads(seen.records[key].json)
            shown = {part: visible(str(record[part]), 100_000) for part in ("sha256", "text", "by", "why", "at")}
            files.append({"title": title, "key": key, "version": seen.records[key].version, **shown})
        return self.fill("_policy.html", files=files)

    async def reviewers(self) -> str:
        """Return how often each reviewer is asked, how soon and how they answer; one reading at a time."""
        async with self._one_at_a_time:
            return self.fill("_reviewers.html", seen=await self._reviewers.look(), kept=MAX_CLICKS)

    async def _frozen(self) -> str | None:
        """Return why approvals are stopped; None while they are not."""
        seen = (await self._deps.store.records.read([layout.FREEZE])).records[layout.FREEZE]
        record: dict[str, Any] = json.loads(seen.json) if seen.version else {}
        return visible(record["why"], 300) if record.get("on") else None

    def cards(self, views: Iterable[View]) -> list[Card]:
        """Return the cards of these."""
        return [render(view.request, view.grant) for view in views]

    def fill(self, template: str, **context: Any) -> str:
        """Return a fragment's HTML."""
        return self._env.get_template(template).render(mold=self._mold, **context)


def has_ended(view: View) -> bool:
    """Tell whether nothing more will happen to a request and its grant."""
    if view.request.state is RequestState.PENDING:
        return False
    return view.grant is None or view.grant.state not in LIVE


def _unfilled(view: View) -> str:
    missing = view.request.tally().missing if view.request.state is RequestState.PENDING else {}
    return " and ".join(f"{count} of {group}" for group, count in sorted(missing.items()))


def _life(grant: Grant) -> Iterable[tuple[str, str]]:
    """Yield when what happened to a live grant, and what goes on with its work."""
    moments = (("Minted", grant.minted_at), ("First collected", grant.handed_at), ("Warned of end", grant.warned_at),
               ("Ends", grant.ends_at), ("Expires at AWS", grant.expiration))  # fmt: skip
    for label, moment in moments[:-1] if grant.plan.by_command else moments:
        if moment:
            yield label, stamp(moment)
    if grant.extended_by:
        yield "Its work goes on as", f"{grant.extended_as}, {grant.extended_by}"


def _details(view: View) -> Iterable[tuple[str, str]]:
    """Yield what the card leaves out: ids, digests, moments."""
    request, grant = view.request, view.grant
    yield "Request", request.id
    yield "Asked", stamp(request.submitted_at)
    yield ("Decided", stamp(request.decided_at)) if request.decided_at else ("Answer by", stamp(request.expires_at))
    if request.after_review:
        yield "After-review", after_words.found(request) or f"owed until {stamp(request.after_review.due_at)}"
    yield "Action digest", request.action_digest
    yield "Policy", f"sha256:{request.ruling.policy_sha256}"
    if grant is None:
        return
    yield "Grant", f"{grant.id} ({grant.state})"
    yield "Role" if grant.plan.by_command else "Role ARN", grant.plan.role_arn
    if grant.access_key_id:
        yield "Handle" if grant.plan.by_command else "Access key id", grant.access_key_id
    yield from _life(grant)
    if grant.proof:
        yield "Proof", f"{grant.proof.kind} at {stamp(grant.proof.at)}: {visible(grant.proof.detail, 600)}"
    if grant.approved_by:
        yield "Approved by", ", ".join(name(person) for person in grant.approved_by)
