"""Put a second signature before a function: `requires_approval` asks, waits, and runs it only when approved."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from approvers.errors import CountersignError
from countersign.blocking import Client
from countersign.client import AsyncClient
from countersign.errors import outcome
from countersign.models import Ask, Credential, Request
from countersign.receipts import BadReceipt, digest_of

P = ParamSpec("P")
T = TypeVar("T")
Arguments = Mapping[str, Any]
Words = str | Callable[[Arguments], str]
"""A text with the function's arguments in braces (`"Refund {order}"`), or a function of the arguments."""
GOODBYE_SECONDS = 5.0


class ArgumentsChanged(CountersignError):
    """The arguments are no longer those that were approved (something changed them during the wait)."""

    code = "arguments_changed"


def key_for(run: str, call: str) -> str:
    """Return the idempotency key of one call of one run: the same call, asked again by any process, is one request."""
    return "call-" + hashlib.sha256(json.dumps([run, call]).encode()).hexdigest()[:40]


def requires_approval(
    *,
    action: Words,
    resource: Words,
    reason: Words = "",
    client: Client | AsyncClient | None = None,
    key: Words | None = None,
    parameters: Callable[[Arguments], Mapping[str, Any]] | None = None,
    timeout_seconds: float | None = None,
    verify_key: str | None = None,
    **fields: Any,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function, blocking or async, run only once this very call was approved.

    The arguments are sent as `parameters`, which the approval's digest binds: an approval of one call never runs
    another. Without `access` the approval is consumed just before the function runs. With it, the credential is passed
    as the keyword `credential` and released when the function returns.

    Args:
        action: what is done, such as `payments:Refund`.
        resource: to what.
        reason: why; reviewers read it.
        client: a `Client` for a blocking function, an `AsyncClient` for an async one; left out, one is made for each
            call from COUNTERSIGN_URL and COUNTERSIGN_API_KEY.
        key: the idempotency key (see `key_for`); without it each call asks anew, and giving up withdraws the request.
        parameters: what to send instead of all arguments, where some are secret or not JSON.
        timeout_seconds: how long to wait; left out, until the request is decided or expires.
        verify_key: Countersign's verifier keys (left out, the client's): without `access`, the function runs only if
            the receipt is good, and is about these very arguments.
        fields: further fields of `Ask`: environment, ttl_seconds, actor, access, ticket … With `heartbeat_seconds` it
            beats while the function runs; an async function must leave the event loop time for that.

    The decorated function raises `NotApproved` (Denied, Expired, Cancelled …), `ProblemError`, `Unreachable`,
    `BadReceipt`; then it has not run.
    """
    if unknown := set(fields) - set(Ask.model_fields):
        raise TypeError(f"requires_approval has no field {', '.join(sorted(unknown))}; see countersign.Ask")
    recipe = _Recipe(action, resource, reason, key, parameters, timeout_seconds, verify_key, fields)

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        if inspect.iscoroutinefunction(function):
            return cast(Callable[P, T], _wrap_async(function, recipe, client))
        return cast(Callable[P, T], _wrap_blocking(function, recipe, client))

    return decorate


@dataclass(frozen=True)
class _Recipe:
    action: Words
    resource: Words
    reason: Words
    key: Words | None
    parameters: Callable[[Arguments], Mapping[str, Any]] | None
    timeout_seconds: float | None
    verify_key: str | None
    fields: Mapping[str, Any]

    def ask(self, call: Arguments) -> Ask:
        return Ask(
            action=_say(self.action, call),
            resource=_say(self.resource, call),
            reason=_say(self.reason, call),
            parameters=self.payload(call),
            **self.fields,
        )

    def payload(self, call: Arguments) -> dict[str, Any]:
        chosen = self.parameters(call) if self.parameters else call
        try:
            payload: dict[str, Any] = json.loads(json.dumps(dict(chosen), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"an argument has no JSON form ({error}); choose what to send with `parameters=`"
            ) from error
        return payload


def _say(words: Words, call: Arguments) -> str:
    return words(call) if callable(words) else words.format_map(call)


def _bind(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the call's arguments by name, defaults included, without `self` and the credential to come."""
    bound = inspect.signature(function).bind_partial(*args, **kwargs)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name not in ("self", "cls", "credential")}


@asynccontextmanager
async def _approved(client: AsyncClient, recipe: _Recipe, call: Arguments) -> AsyncIterator[Credential | None]:
    """Ask, wait, and hold the approval while the body runs: consumed, or with a credential that is released after."""
    ask, key = recipe.ask(call), _say(recipe.key, call) if recipe.key else None
    request = await client.request(ask, idempotency_key=key)
    try:
        request = await client.wait(request, timeout_seconds=recipe.timeout_seconds)
        if (trouble := outcome(request)) is not None:
            raise trouble
        if recipe.payload(call) != ask.parameters:
            raise ArgumentsChanged("An argument was changed while the approval was awaited; the function did not run.")
    except BaseException:
        if key is None:  # nobody can come back for it, so nobody need be asked any longer
            await _give_up(client, request.id)
        raise
    if request.grant is None:
        if keys := recipe.verify_key or client.verify_key:
            await _check_receipt(client, request, ask, keys)
        await client.consume(request)
        yield None
        return
    try:
        credential = await client.credential(request)
        async with client.beating(request) if request.grant.heartbeat_seconds else nullcontext():
            yield credential
    finally:
        with suppress(CountersignError):  # it ends by itself at its TTL; the function's own outcome matters more
            await asyncio.shield(client.release(request))


async def _check_receipt(client: AsyncClient, request: Request, ask: Ask, keys: str) -> None:
    """Raise BadReceipt unless it says that this very ask was approved: its digest is computed here, not believed."""
    said = await client.receipt(request, key=keys)
    if said.action_digest != digest_of(ask, principal=said.principal, ttl_seconds=said.ttl_seconds):
        raise BadReceipt("The receipt is about another action; the function did not run.", field="action_digest")


async def _give_up(client: AsyncClient, request: str) -> None:
    with suppress(CountersignError, TimeoutError):
        now = await asyncio.wait_for(client.get(request), GOODBYE_SECONDS)
        if now.pending:
            await asyncio.wait_for(client.cancel(request), GOODBYE_SECONDS)
        elif now.grant is not None and not now.grant.over:
            await asyncio.wait_for(client.release(request), GOODBYE_SECONDS)


def _wrap_async(
    function: Callable[..., Any], recipe: _Recipe, client: Client | AsyncClient | None
) -> Callable[..., Any]:
    if isinstance(client, Client):
        raise TypeError("an async function needs an AsyncClient")

    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        async with _lent(client) as lent, _approved(lent, recipe, _bind(function, args, kwargs)) as credential:
            return await function(*args, **kwargs, **_with(credential))

    return guarded


def _wrap_blocking(
    function: Callable[..., Any], recipe: _Recipe, client: Client | AsyncClient | None
) -> Callable[..., Any]:
    if isinstance(client, AsyncClient):
        raise TypeError("a blocking function needs a Client")

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        lent = client or Client.from_environ()
        held = _approved(lent.aio, recipe, _bind(function, args, kwargs))
        try:
            credential = lent.run(held.__aenter__())
            try:
                return function(*args, **kwargs, **_with(credential))
            finally:
                lent.run(held.__aexit__(None, None, None))
        finally:
            if client is None:
                lent.close()

    return guarded


@asynccontextmanager
async def _lent(client: AsyncClient | None) -> AsyncIterator[AsyncClient]:
    if client is not None:
        yield client
        return
    async with AsyncClient.from_environ() as own:
        yield own


def _with(credential: Credential | None) -> dict[str, Credential]:
    return {} if credential is None else {"credential": credential}
