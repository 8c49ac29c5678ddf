"""Take an ask: look up what the rules read, rule, and build the one commit that stores all of it.

What is looked up lies in three small helpers, each asked only where it matters: what the principal did before
(`bot.histories`), what is known of the resources' tags (`bot.tags`), who may use break-glass (`bot.breaking`).
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import AbstractAsyncContextManager

from approvers import request as requests
from approvers import watching
from approvers.action import Action, action_digest
from approvers.applying_ruling import check_not_ours
from approvers.declared import actions_for
from approvers.errors import NotEvaluated
from approvers.facts import Facts
from approvers.grant import Plan
from approvers.ids import handle, request_id
from approvers.lifetime import check_heartbeat
from approvers.quick import made
from approvers.request import Request, RequestState
from approvers.roster import check_claims
from approvers.ruling import Ruling, check_limits, default_ttl, gather, rule, ttl_for, unevaluated
from bot.breaking import Breaking
from bot.commits import NOTHING, submitted
from bot.extending import Extending
from bot.histories import Histories
from bot.identity import Identity
from bot.tags import Tags
from workers import logs
from workers.data.levels import Levels
from workers.policies import Rulebook
from workers.providers.plans import plan
from workers.stores import layout
from workers.stores.port import Commit, Records, Versioned

_log = logs.get_logger(__name__)
OPERATOR = "operator"
"""Who proved an identity that only a command on the store can have: nothing that comes over a wire."""


class Asking:
    """Turn an ask into a request, policy's answer included, and its commit."""

    def __init__(
        self,
        records: Records,
        levels: Levels,
        *,
        histories: Histories,
        tags: Tags,
        breaking: Breaking,
        extending: Extending,
    ) -> None:
        self._records, self._levels = records, levels
        self._histories, self._tags, self._breaking, self._extending = histories, tags, breaking, extending

    async def prepare(
        self, book: Rulebook, who: Identity, action: Action, key: str, body: str
    ) -> tuple[Request, Commit]:  # fmt: skip
        """Rule on the ask and build its commit.

        Raises:
            Forbidden, Inadmissible: this may not be asked, by this principal or at all.
        """
        now = await self._records.now()
        if who.by.iss != OPERATOR:
            check_not_ours(action)
        check_claims(book.roster, who.principal, action.actor.id, action.actor.on_behalf_of)
        ttl = ttl_for(book.policy, action.ttl_seconds)
        planned = plan(action, book.roster, ttl, self._levels) if action.access else None
        check_heartbeat(action.heartbeat_seconds, planned)
        history = await self._histories.of(who.principal, action, planned, now)
        breaking = await self._breaking.look(book, who, action)
        extending = await self._extending.look(who, action, planned)
        facts = gather(
            action,
            principal=who.principal,
            caller=book.roster.caller(who.principal),
            plan=planned,
            policy=book.policy,
            levels=actions_for(planned, book.roster, self._levels),
            at=now,
            history=history.facts,
            tags=await self._tags.of(book, planned, action.resource, now),
            proof=who.claims,
            groups=breaking.groups,
            owed=breaking.owed,
        )
        action, planned, facts = with_ttl(book, action, planned, facts)
        check_limits(book.policy, facts)
        ruling = ruled(book, facts)
        request = opened(who, action, planned=planned, facts=facts, ruling=ruling, key=key)
        request = extending.marked(watching.begun(book.policy, breaking.marked(book, request)))
        folds = layout.folds(request) if _too_often(book, facts, ruling) else NOTHING
        parts = (history.part(request), folds, breaking.part(request), extending.part)
        return request, submitted(book, who, request, key, body, *parts, seen_in=breaking.seen)

    def turn(self, principal: str) -> AbstractAsyncContextManager[None]:
        """Return what to hold from `prepare` until the commit's answer."""
        return self._histories.turn(principal)

    def won(self, principal: str, commit: Commit) -> None:
        """Keep what an ask's commit has written."""
        self._histories.won(principal, commit)

    async def known(self, principal: str) -> Versioned:
        """Return the record of what a principal is known for, which people's answers change."""
        return await self._histories.known(principal)

    def forget(self, principal: str) -> None:
        """Look up anew what is kept of a principal: a commit has found another version."""
        self._histories.forget(principal)


def _too_often(book: Rulebook, facts: Facts, ruling: Ruling) -> bool:
    """Tell whether only the rate of its principal has an ask denied: one that folds into another adds nothing to it."""
    if ruling.effect != "deny" or not facts.history.asked:
        return False
    alone = facts.history.model_copy(update={"asked": (1,) * len(facts.history.asked)})
    return ruled(book, facts.model_copy(update={"history": alone})).effect != "deny"


def with_ttl(book: Rulebook, action: Action, planned: Plan | None, facts: Facts) -> tuple[Action, Plan | None, Facts]:
    """Give an ask that names no TTL the default for what it asks, everywhere: the digest binds it like one named."""
    if action.ttl_seconds is not None:
        return action, planned, facts
    given = {"ttl_seconds": default_ttl(book.policy, facts)}
    return action.model_copy(update=given), planned and planned.model_copy(update=given), facts.model_copy(update=given)


def ruled(book: Rulebook, facts: Facts) -> Ruling:
    """Return policy's answer; what could not be computed is no yes, and told apart from every no."""
    try:
        return rule(book.policy, facts, sha256=book.policy_sha256)
    except Exception as error:  # whatever broke inside the rules: nobody said no, and it is not a yes
        _log.error("policy.not_evaluated", exc_info=error)
        why = error.detail if isinstance(error, NotEvaluated) else type(error).__name__
        return unevaluated(why, sha256=book.policy_sha256)


def fingerprint(action: Action) -> str:
    """Return the SHA-256 of the whole body in its canonical order of fields."""
    return hashlib.sha256(action.model_dump_json().encode()).hexdigest()


def opened(who: Identity, action: Action, *, planned: Plan | None, facts: Facts, ruling: Ruling, key: str) -> Request:
    """Return the new request as the ruling opens it."""
    state, because = requests.opened_as(ruling)
    waits = state is RequestState.PENDING
    # made, not validated: every value is ours and checked already, and this runs for every ask.
    return made(
        Request,
        v=2,
        id=request_id(facts.at, secrets.token_bytes(10)),
        handle=handle(secrets.token_bytes(4)),
        state=state,
        because=because,
        principal=who.principal,
        action=action,
        action_digest=action_digest(who.principal, action),
        plan=planned,
        facts=facts,
        ruling=ruling,
        reviews=(),
        submitted_at=facts.at,
        expires_at=requests.answer_by(ruling, facts.at),
        decided_at=None if waits else facts.at,
        decided_by=None if waits else "policy",
        consumed_at=None,
        names=(layout.idem_name(who.principal, key),),
        level=0,
        level_since=None,
        reminded_at=None,
        unreached_at=None,
        empty=(),
        narrowed=None,
        after_review=None,
        extended=None,
        fill_in=(),
        alerted_at=None,
        receipt=None,
        card="",
    )
