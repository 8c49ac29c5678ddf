"""Talk to Countersign: one method for each thing that the API does. `countersign.Client` is the blocking form."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import ValidationError

from approvers.ids import grant_of, request_of
from approvers.targets import Target
from countersign import delivery
from countersign.address import settings, verify_key
from countersign.beating import Beating
from countersign.errors import BadAnswer, BadSetting, CannotOpen, Conflict
from countersign.evidence import Evidence
from countersign.models import Ask, Credential, Freeze, Grant, Request, Revocation
from countersign.receipts import ReceiptClaims, check_keys, receipt_of
from countersign.transport import Call, Transport

M = TypeVar("M", Request, Grant, Credential, Freeze, Revocation)
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 50
"""How long one poll may be held: proxies commonly cut what is idle for 60 s."""
RECEIPT_SECONDS = 5


class AsyncClient(Evidence):
    """Ask, wait, collect, release.

    Every method raises `ProblemError` (the server refused), or `Unreachable` / `BadAnswer` (nobody knows).
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        delivery_key: bytes | None = None,
        verify_key: str | None = None,
    ) -> None:
        """Check the settings; nothing is opened before the first call.

        Args:
            base_url: where the server is, such as https://countersign.example.com.
            api_key: what `countersign keys new` printed.
            patience_seconds: for how long an absent server is tried again; a server never heard from gets at most 15 s.
            delivery_key: a raw X25519 private key (32 bytes) that outlives this process, so that a restarted one can
                open what an earlier one asked for.
            verify_key: Countersign's verifier keys; with them no approval is consumed unless its receipt is good.
        """
        self.verify_key = check_keys(verify_key)
        self._transport = Transport(base_url, api_key, patience_seconds)
        self._lasting = X25519PrivateKey.from_private_bytes(delivery_key) if delivery_key else None
        self._keys: dict[str, X25519PrivateKey] = {}

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ, **options: Any) -> Self:
        """Make a client from COUNTERSIGN_URL, COUNTERSIGN_API_KEY and, where it is set, COUNTERSIGN_VERIFY_KEY."""
        return cls(*settings(environ), **{"verify_key": verify_key(environ), **options})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def now(self) -> datetime:
        """Return the time by the server's clock, as far as its newest answer tells: `ends_at` is counted by it."""
        return datetime.now(UTC) + self._transport.ahead

    @property
    def base_url(self) -> str:
        """Return the server's address."""
        return self._transport.base_url

    async def request(
        self,
        ask: Ask | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        wait: float = 0,
        sealed: bool | None = None,
        **fields: Any,
    ) -> Request:
        """Make a request, and wait up to `wait` seconds until it is settled.

        Args:
            ask: what is asked for; or give its fields by name.
            idempotency_key: the same key finds the same request again, from any process (see `key_for`). With a key of
                your own the credential is not sealed to this process, since another one may come to collect it, unless
                the client has a `delivery_key`.
            wait: seconds; 0 returns the first answer.
            sealed: overrides whether a key pair is made, so that only this process can open the credential.
            fields: of `Ask`.
        """
        ask = ask or Ask(**fields)
        private = self._key_for(ask, idempotency_key is None if sealed is None else sealed)
        body = {**ask.body(), "public_key": delivery.public_text(private)} if private else ask.body()
        headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(24)}
        request = _read(Request, await self._transport.call(Call("POST", "/v1/requests", body, headers=headers)))
        if private:
            self._keys[request.id] = private
        done = request.settled and not _lacks_receipt(request)
        return request if done or wait <= 0 else await self.wait(request, timeout_seconds=wait)

    async def get(self, request: str | Request, *, wait: float = 0, after: int | None = None) -> Request:
        """Read a request; with `wait` the server holds the answer until it is settled, or past version `after`."""
        query = {"wait": str(max(1, round(wait)))} if wait > 0 else {}
        if after is not None:
            query["after"] = str(after)
        call = Call("GET", f"/v1/requests/{_id(request)}", query=query, held=wait)
        return _read(Request, await self._transport.call(call))

    async def wait(
        self,
        request: str | Request,
        *,
        timeout_seconds: float | None = None,
        on_answer: Callable[[Request], None] | None = None,
    ) -> Request:
        """Wait until a request is settled and return it; at the timeout return it as it is then.

        Lives through restarts of the server and lost connections, for as long as the client's patience.
        """
        loop = asyncio.get_running_loop()
        end = None if timeout_seconds is None else loop.time() + timeout_seconds
        now = request if isinstance(request, Request) else await self.get(request)
        while not now.settled:
            if on_answer:
                on_answer(now)
            left = POLL_SECONDS if end is None else min(POLL_SECONDS, end - loop.time())
            if left <= 0:
                return now
            now = await self.newer(now, left)
        if _lacks_receipt(now):
            now = await self.get(now, wait=RECEIPT_SECONDS)
        if on_answer:
            on_answer(now)
        if not now.approved:
            self._keys.pop(now.id, None)
        return now

    async def newer(self, seen: Request, seconds: float) -> Request:
        """Poll once for a newer version of what was seen, for at most so long; what comes may be the same one.

        A server that answers early with nothing new is not asked in a tight loop.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        now = await self.get(seen, wait=seconds, after=seen.version)
        if now.version == seen.version and (early := min(seconds, 1.0) - (loop.time() - began)) > 0:
            await asyncio.sleep(early)
        return now

    async def cancel(self, request: str | Request) -> Request:
        """Withdraw a waiting request; one that is withdrawn already is returned as it is."""
        call = Call("POST", f"/v1/requests/{_id(request)}/cancel", {})
        try:
            return _read(Request, await self._transport.call(call))
        except Conflict:
            now = await self.get(request)
            if now.state != "CANCELLED":
                raise
            return now

    async def consume(self, request: Request | str, action_digest: str | None = None) -> Request:
        """Settle an action approval, once: the second time is a Conflict. Act only after this returned.

        Not resent when the answer is lost: raises Unreachable, and you must not act. With a `verify_key` the receipt
        is checked before; BadReceipt: you must not act.
        """
        digest = action_digest or (request.action_digest if isinstance(request, Request) else None)
        if digest is None:
            raise BadSetting("consume needs the digest of what is about to be done", field="action_digest")
        if self.verify_key:
            await self.receipt(request, action_digest=digest)
        call = Call("POST", f"/v1/requests/{_id(request)}/consume", {"action_digest": digest}, resend=False)
        return _read(Request, await self._transport.call(call))

    async def receipt(
        self, request: Request | str, *, key: str | None = None, action_digest: str | None = None
    ) -> ReceiptClaims:
        """Return what an approved request's receipt proves; waits some seconds where it is not signed yet.

        `key`: verifier keys; left out, the client's own. `action_digest`: of what is about to be done.

        Raises:
            BadReceipt: there is none, or it is no proof: do not act.
        """
        if not (keys := key or self.verify_key):
            raise BadSetting("a receipt is checked by Countersign's verifier key: give `verify_key`", field="key")
        if isinstance(request, str) or request.receipt is None:
            request = await self.get(request, wait=RECEIPT_SECONDS)
        return receipt_of(request, key=keys, action_digest=action_digest)

    async def review(self, request: str | Request, verdict: str, reason: str = "") -> Request:
        """Answer as a reviewer: `approve` or `deny`."""
        body = {"verdict": verdict, "reason": reason}
        call = Call("POST", f"/v1/requests/{_id(request)}/reviews", body, resend=False)
        return _read(Request, await self._transport.call(call))

    async def after_review(self, request: str | Request, verdict: str, reason: str = "") -> Request:
        """Say as a person, afterwards, whether a use of break-glass was `justified` or `unjustified`.

        The same finding twice is taken once; an unjustified use needs a reason.
        """
        body = {"verdict": verdict, "reason": reason}
        return _read(
            Request, await self._transport.call(Call("POST", f"/v1/requests/{_id(request)}/after-review", body))
        )

    async def credential(self, grant: str | Grant | Request) -> Credential:
        """Collect an active grant's credential, opened if it is sealed; the same one each time, until it ends."""
        request = _id(grant)
        answer = await self._transport.call(Call("POST", f"/v1/grants/{_grant_id(grant)}/credential", {}))
        if "sealed" not in answer:
            return _read(Credential, answer)
        principal = grant.principal if isinstance(grant, Request) else answer.get("principal")
        if principal is None:
            principal = (await self.get(request)).principal
        return self._open(request, str(answer["sealed"]), str(principal))

    async def heartbeat(self, grant: str | Grant | Request, *, patience_seconds: float | None = None) -> Grant:
        """Say that this caller lives: a grant with `heartbeat_seconds` ends early when it does not hear that in time.

        `beating` does it in the background. A grant that has ended is a Conflict, `grant_ended`.
        """
        call = Call("POST", f"/v1/grants/{_grant_id(grant)}/heartbeat", {})
        return _read(Grant, await self._transport.call(call, patience_seconds))

    def beating(self, grant: Grant | Request, **told: Any) -> Beating:
        """Beat in the background for as long as an `async with` lasts; what is `told` of it, `Beating` says."""
        return Beating(self.heartbeat, grant, **told)

    async def release(self, grant: str | Grant | Request) -> Grant:
        """End a grant early because the work is done."""
        answer = await self._transport.call(Call("POST", f"/v1/grants/{_grant_id(grant)}/release", {}))
        self._keys.pop(_id(grant), None)
        return _read(Grant, answer)

    async def revoke(self, grant: str | Grant | Request, reason: str = "") -> Grant:
        """Take a grant away."""
        call = Call("POST", f"/v1/grants/{_grant_id(grant)}/revoke", {"reason": reason})
        return _read(Grant, await self._transport.call(call))

    async def requests(self, *, state: str = "PENDING", mine: bool = True) -> list[Request]:
        """List requests in a state: what a restarted agent still waits for."""
        query = {"state": state, **({"mine": "1"} if mine else {})}
        return _list(Request, await self._transport.call(Call("GET", "/v1/requests", query=query)), "requests")

    async def grants(self, *, state: str = "ACTIVE", actor: str | None = None) -> list[Grant]:
        """List grants in a state, of one actor or of all."""
        query = {"state": state, **({"actor": actor} if actor else {})}
        return _list(Grant, await self._transport.call(Call("GET", "/v1/grants", query=query)), "grants")

    async def audit(self, request: str | Request | Grant) -> list[dict[str, Any]]:
        """Return the records of one request and its grant, oldest first."""
        answer = await self._transport.call(Call("GET", f"/v1/audit/{_id(request)}"))
        if not isinstance(records := answer.get("records"), list):
            raise BadAnswer("The answer holds no records.")
        return records

    async def revocations(self, target: str | Target, *, reason: str = "", dry_run: bool = False) -> Revocation:
        """Take away one grant, or all of an actor, a principal or a role, or all there is.

        What comes back is being ended; `ending.follow` waits until the end of each is proven.

        Args:
            target: an id, a handle, `actor:NAME`, `principal:NAME`, `role:NAME`, or `all`.
            reason: why; it goes into the log.
            dry_run: only say what would be hit.
        """
        named = target if isinstance(target, Target) else Target.parse(target)
        body = {"target": {"kind": named.kind, "name": named.name}, "reason": reason, "dry_run": dry_run}
        return _read(Revocation, await self._transport.call(Call("POST", "/v1/revocations", body)))

    async def freeze(self, reason: str) -> Freeze:
        """Stop approvals and mints. What is frozen already stays so, with its first reason."""
        return _read(Freeze, await self._transport.call(Call("POST", "/v1/freeze", {"reason": reason})))

    async def unfreeze(self, reason: str = "") -> Freeze:
        """Let approvals and mints go on."""
        return _read(Freeze, await self._transport.call(Call("DELETE", "/v1/freeze", {"reason": reason})))

    def _key_for(self, ask: Ask, sealed: bool) -> X25519PrivateKey | None:
        if ask.access is None or ask.public_key is not None:
            return None
        return self._lasting or (delivery.new_key() if sealed else None)

    def _open(self, request: str, sealed: str, principal: str) -> Credential:
        private = self._keys.get(request) or self._lasting
        if private is None:
            raise CannotOpen("The credential is sealed to a key of another process; collect it where it was asked for.")
        plain = delivery.open_(private, sealed, delivery.info_for(grant_of(request), principal))
        try:
            return _read(Credential, json.loads(plain))
        except ValueError:
            raise BadAnswer("The sealed credential is not JSON.") from None  # its error would quote the secret


def _lacks_receipt(request: Request) -> bool:
    """Tell whether the outcome of an approved action is still to come, moments after its decision."""
    return request.approved and request.grant is None and request.receipt is None


def _read(model: type[M], answer: object) -> M:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"]) or "a key"
        # The values stay out of the message, and the error out of its context: an answer may hold a secret.
        raise BadAnswer(f"The answer is not a {model.__name__.lower()}: {where} is missing or wrong.") from None


def _list(model: type[M], answer: Mapping[str, Any], name: str) -> list[M]:
    if not isinstance(rows := answer.get(name), list):
        raise BadAnswer(f"The answer holds no list of {name}.")
    return [_read(model, row) for row in rows]


def _id(subject: str | Request | Grant) -> str:
    """Return the request id, whichever of the two ids (or a handle) was given."""
    name = subject if isinstance(subject, str) else subject.id
    return quote(request_of(name) if name.startswith("grt_") else name, safe="")


def _grant_id(subject: str | Request | Grant) -> str:
    name = subject if isinstance(subject, str) else subject.id
    return quote(grant_of(name) if name.startswith("req_") else name, safe="")
