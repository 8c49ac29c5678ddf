"""Sign people in to the console: a one-time link becomes a session, and a session becomes an identity.

Only hashes of the two secrets are stored, and the store's time decides when they end. A link is used up in the commit
that begins its session, so that of two people who open it one gets in. Beginnings and ends are audit records.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.audit import SYSTEM, By, Draft
from approvers.errors import CountersignError
from approvers.times import Moment, stamp
from bot.identity import Identity
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, transact
from workers.vault import hash_key, new_token

LINK_LASTS = timedelta(minutes=10)
SESSION_LASTS = timedelta(hours=12)
SCOPES = frozenset({"review", "read"})
"""What a signed-in person may do; the policy still says for each request whether they may decide it."""


class LinkRefused(CountersignError):
    """The sign-in link cannot be used; the sentence says why and what to do."""

    code = "link_refused"


class Link(BaseModel):
    """One sign-in link, as stored under the hash of its secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    id: str
    principal: str
    made_by: str
    made_at: Moment
    expires_at: Moment
    used_at: Moment | None = None


class Session(BaseModel):
    """One signed-in browser, as stored under the hash of its cookie."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    id: str
    principal: str
    how: Literal["link", "chooser"]
    started_at: Moment
    expires_at: Moment
    ended_at: Moment | None = None


@dataclass(frozen=True)
class SignedIn:
    """Hold a session that stands, and the secret that proved it.

    Attributes:
        token: the cookie's value; never shown, but other proofs are derived from it.
    """

    session: Session
    version: int
    token: str

    @property
    def principal(self) -> str:
        """Return the person, `user:NAME`."""
        return self.session.principal

    @property
    def form_token(self) -> str:
        """Return what every form of this session carries; it cannot be turned back into the cookie."""
        return self.mac("form")

    @property
    def identity(self) -> Identity:
        """Return the identity that the desk takes; what it commits needs the session to stand unchanged."""
        by = By(self.principal, "console", self.session.id)
        return Identity(self.principal, SCOPES, by, "console", {f"session:{hash_key(self.token)}": self.version})

    def mac(self, text: str) -> str:
        """Return a keyed digest of a text, which only this session can make."""
        return hmac.new(self.token.encode(), text.encode(), hashlib.sha256).hexdigest()[:43]


class Sessions:
    """Make links, and turn them into sessions."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def invite(
        self, principal: str, *, by: str, proof: By | None = None, via: str = "command"
    ) -> tuple[str, Link]:
        """Make a link for `user:NAME`; its secret is returned once.

        `by` is who makes it, as recorded; `proof` how that is known (None: an operator at the store), `via` where.
        """
        token = new_token("link")
        hashed = hash_key(token)

        def step(seen: Snapshot) -> tuple[Commit, Link]:
            link = Link(
                id=f"lnk_{hashed[:12]}",
                principal=principal,
                made_by=by,
                made_at=seen.now,
                expires_at=seen.now + LINK_LASTS,
            )
            told = {"link": link.id, "person": principal, "expires_at": stamp(link.expires_at)}
            draft = Draft(SYSTEM, "link.made", proof or By(by, "operator", by), via, told)
            return _put(seen, f"link:{hashed}", link, draft), link

        return token, await transact(self._records, [f"link:{hashed}"], step, chains=[SYSTEM])

    async def peek(self, token: str) -> Link:
        """Return an open link without using it up: chat previews fetch what they see. Raises LinkRefused."""
        return _open_link(await self._records.read([f"link:{hash_key(token)}"]), f"link:{hash_key(token)}")

    async def enter(self, link_token: str) -> SignedIn:
        """Use a link up and begin its session. Raises LinkRefused."""
        link_key, token = f"link:{hash_key(link_token)}", new_token("session")

        def step(seen: Snapshot) -> tuple[Commit, Session]:
            link = _open_link(seen, link_key)
            session = _begun(token, link.principal, "link", seen.now)
            draft = _told("session.started", session, By(link.principal, "link", link.id))
            used = link.model_copy(update={"used_at": seen.now})
            return _put(seen, link_key, used, draft, layout.put(_key(token), 0, session.model_dump_json())), session

        return SignedIn(await transact(self._records, [link_key], step, chains=[SYSTEM]), 1, token)

    async def choose(self, principal: str) -> SignedIn:
        """Begin a session for a person of the demo's chooser, without any proof of who it is."""
        token = new_token("session")

        def step(seen: Snapshot) -> tuple[Commit, Session]:
            session = _begun(token, principal, "chooser", seen.now)
            draft = _told("session.started", session, By(principal, "demo-chooser", principal))
            return _put(seen, _key(token), session, draft), session

        return SignedIn(await transact(self._records, [_key(token)], step, chains=[SYSTEM]), 1, token)

    async def find(self, token: str) -> SignedIn | None:
        """Return the session of a cookie; None if there is none, or not any more."""
        key = _key(token)
        seen = await self._records.read([key])
        record = seen.records[key]
        if not record.version:
            return None
        session = Session.model_validate_json(record.json)
        over = session.ended_at is not None or seen.now >= session.expires_at
        return None if over else SignedIn(session, record.version, token)

    async def leave(self, who: SignedIn) -> None:
        """End a session; ending it twice is no error."""
        key = _key(who.token)

        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            session = Session.model_validate_json(seen.records[key].json)
            if session.ended_at is not None:
                return None, None
            ended = session.model_copy(update={"ended_at": seen.now})
            return _put(seen, key, ended, _told("session.ended", ended, who.identity.by)), None

        await transact(self._records, [key], step, chains=[SYSTEM])


def _key(token: str) -> str:
    return f"session:{hash_key(token)}"


def _begun(token: str, principal: str, how: Literal["link", "chooser"], now: datetime) -> Session:
    identifier = f"ses_{hash_key(token)[:12]}"
    return Session(id=identifier, principal=principal, how=how, started_at=now, expires_at=now + SESSION_LASTS)


def _open_link(seen: Snapshot, key: str) -> Link:
    record = seen.records[key]
    if not record.version:
        raise LinkRefused("This is not a sign-in link that we made. Ask for a new one, and open it whole.")
    link = Link.model_validate_json(record.json)
    if link.used_at is not None:
        raise LinkRefused(
            f"This link was used at {stamp(link.used_at)}; each link signs in once. "
            "If that was not you, tell your operator; otherwise ask for a new one."
        )
    if seen.now >= link.expires_at:
        raise LinkRefused(f"This link expired at {stamp(link.expires_at)}. Ask for a new one.")
    return link


def _told(kind: str, session: Session, by: By) -> Draft:
    told = {"session": session.id, "person": session.principal, "expires_at": stamp(session.expires_at)}
    return Draft(SYSTEM, kind, by, "console", told)


def _put(seen: Snapshot, key: str, record: BaseModel, draft: Draft, *more: layout.Part) -> Commit:
    part = layout.put(key, seen.records[key].version, record.model_dump_json())
    return layout.commit(seen.now, part, *more, drafts=[draft], heads=seen.heads)
