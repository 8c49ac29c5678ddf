"""Say who is calling by a token of an issuer (OpenID Connect): a CI job proves itself, and holds no key of ours.

`iss` is read unproven, only to pick a row of our own table; everything else is that row's: the keys, the audience, the
longest life. Whatever does not hold is Unauthenticated (401) in words for whoever sets up the job; keys that nobody can
read are `not_checked` (503): nobody has said no.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jwt

from approvers.audit import By
from approvers.roster_models import Caller, Issuer, Roster
from approvers.times import spell
from bot.identity import Identity
from bot.issuers_keys import ALGORITHMS, Key, KeySet, KeysUnavailable
from bot.problems import Problem, Unauthenticated
from workers import logs
from workers.policies import Policies
from workers.stores import layout

LEEWAY_SECONDS = 30
LONGEST_TOKEN = 8_000
"""Characters; aiohttp takes no longer header."""
REQUIRED = ["exp", "iat", "aud", "iss", "sub"]
ELSEWHERE = ("jku", "x5u", "jwk", "x5c", "crit")
"""What a header may not hold: keys, or the way to them, and extensions that we would have to know."""
KEPT = (
    "actor", "actor_id", "environment", "event_name", "job_workflow_ref", "jti", "project_id", "project_path", "ref",
    "repository", "repository_id", "repository_owner_id", "run_attempt", "run_id", "sha", "started_by", "sub",
    "workflow_ref",
)  # fmt: skip
"""Claims that are recorded with the ask; `started_by` is ours: the person of the roster who pressed the button."""
LONGEST_CLAIM = 500
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_WORDS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "has expired; get a new one for each call",
    jwt.InvalidAudienceError: "is made for another audience",
    jwt.ImmatureSignatureError: "is not valid yet",
    jwt.MissingRequiredClaimError: "lacks one of exp, iat, aud, iss, sub",
}
_log = logs.get_logger(__name__)
Claims = Mapping[str, Any]


def is_token(secret: str) -> bool:
    """Tell whether this looks like a signed token, and not like one of our keys."""
    return _TOKEN.fullmatch(secret) is not None


class Tokens:
    """Turn tokens of the roster's issuers into identities."""

    def __init__(self, policies: Policies, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know no key yet; `clock` is for how old a copy of keys is, in seconds."""
        self._policies, self._clock = policies, clock
        self._sets: dict[tuple[str, str | None], KeySet] = {}

    async def identify(self, token: str) -> Identity:
        """Return which caller this token proves.

        Every commit in its name has to find the roster that it was proven by.

        Raises:
            Unauthenticated: none, or not one alone.
            Problem: `not_checked`, where the issuer's keys cannot be read.
        """
        book = self._policies.current
        try:
            issuer, claims = await self._proven(book.roster, token)
            caller = _caller(book.roster, issuer, claims)
            proof = {layout.ROSTER: book.versions[layout.ROSTER]}
            return _identity(caller, issuer, {**claims, "started_by": _started(book.roster, issuer, claims)}, proof)
        except Unauthenticated:
            raise
        except KeysUnavailable as error:
            detail = f"Whether your token is good cannot be told: {error}. Nobody said no; try again."
            raise Problem("not_checked", detail) from error
        except Exception as error:  # whatever a crafted token provokes on its way through the parsers is a no
            if not isinstance(error, jwt.PyJWTError):
                _log.warning("token.refused", why=type(error).__name__)
            words = next((said for kind, said in _WORDS.items() if isinstance(error, kind)), "cannot be verified")
            raise Unauthenticated(f"This token {words}.") from error

    async def refresh(self) -> None:
        """Read the roster again: it has changed since a token was judged by it."""
        await self._policies.refresh()

    async def aclose(self) -> None:
        """Stop reading keys."""
        for keys in self._sets.values():
            await keys.aclose()

    async def _proven(self, roster: Roster, token: str) -> tuple[Issuer, Claims]:
        if len(token) > LONGEST_TOKEN:
            _refuse("is too long")
        said = jwt.decode(token, options={"verify_signature": False}).get("iss")
        issuer = next((one for one in roster.issuers.values() if one.url == said), None)
        if issuer is None:
            _refuse("is of an issuer that countersign.toml does not name")
        key = await self._key(issuer, jwt.get_unverified_header(token))
        claims = jwt.decode(
            token,
            key.public,
            algorithms=list(key.algorithms),
            audience=issuer.audience,
            issuer=issuer.url,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED, "enforce_minimum_key_length": True},
        )
        if claims["aud"] not in (issuer.audience, [issuer.audience]):
            _refuse("is made for others as well; ask for one audience alone")
        if not 0 < claims["exp"] - claims["iat"] <= issuer.max_age.total_seconds():
            _refuse(f"lives too long; issuer {issuer.name} has a max_age of {spell(issuer.max_age)}")
        return issuer, claims

    async def _key(self, issuer: Issuer, head: Mapping[str, Any]) -> Key:
        kid, algorithm = head.get("kid"), head.get("alg")
        if algorithm not in ALGORITHMS or not isinstance(kid, str) or any(name in head for name in ELSEWHERE):
            _refuse("has a header that is not taken: kid and one of RS256 to ES512, no keys and no extensions")
        name = (issuer.url, issuer.keys)
        if name not in self._sets:
            self._sets[name] = KeySet(issuer, clock=self._clock)
        key = await self._sets[name].get(kid)
        if key is None:
            _refuse(f"is signed by no key that issuer {issuer.name} publishes")
        return key


def _refuse(words: str) -> NoReturn:
    raise Unauthenticated(f"This token {words}.")


def _caller(roster: Roster, issuer: Issuer, claims: Claims) -> Caller:
    found = roster.proven(issuer.name, claims)
    if len(found) > 1:
        names = " and ".join(sorted(f"caller:{one.name}" for one in found))
        _refuse(f"would prove {names}: claims in countersign.toml have to tell them apart")
    if not found:
        _refuse(f"is good, but its claims are those of no caller of issuer {issuer.name} in countersign.toml")
    return found[0]


def _started(roster: Roster, issuer: Issuer, claims: Claims) -> str | None:
    """Return the person of the roster who started the job; they may not approve what it asks."""
    account = claims.get(issuer.person)
    person = roster.by_token(issuer.name, account) if isinstance(account, str) else None
    return f"user:{person.name}" if person else None


def _identity(caller: Caller, issuer: Issuer, claims: Claims, proof: Mapping[str, int]) -> Identity:
    kept = {name: _text(claims[name]) for name in KEPT if claims.get(name) not in (None, "")}
    shown = {
        "issuer": issuer.name,
        "repository_id": kept.get("repository_id") or kept.get("project_id"),
        "ref": kept.get("ref"),
        "workflow": kept.get("job_workflow_ref") or kept.get("workflow_ref"),
    }
    principal = f"caller:{caller.name}"
    return Identity(
        principal,
        frozenset({"request"}),
        By(principal, issuer.url, kept["sub"]),
        "api",
        proof,
        {**kept, **{name: text for name, text in shown.items() if text is not None}},
    )


def _text(value: object) -> str:
    """Return a claim as it may be recorded."""
    text = str(value) if type(value) in (str, int) else ""
    if not text or len(text) > LONGEST_CLAIM or not text.isprintable():
        _refuse("has a claim that cannot be recorded")
    return text
