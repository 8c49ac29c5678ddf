"""A small, strict Countersign on loopback, over real HTTP: what callers' code is tested against.

It reads bodies with the product's own rules, refuses what the API refuses, and answers in its shapes. A test plays
the reviewers and the worker (`approve`, `deny`, `expire`, `mint`, `fail`, `end`), and makes trouble by name
(`answer_next`, `drop_next`, `stop`, `start`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import rfc8785
from aiohttp import web

from approvers.action import parse_action
from approvers.audit import By, Draft, link
from approvers.errors import CountersignError
from approvers.grant import LIVE
from approvers.times import stamp
from tests.worlds.background import Background
from tests.worlds.intake_rows import PRINCIPAL, SECRET, Rows, answer, credential, settled

API_KEY = "cs_world-key-0123456789"
QUERIES = {"wait", "after", "mine", "state", "actor", "bodies"}


class Refusal(Exception):
    def __init__(self, status: int, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {
            "type": f"urn:countersign:{code}",
            "code": code,
            "status": status,
            "detail": detail,
            "field": field,
        }


class IntakeWorld:
    """One server in a thread of its own; every public method may be called from the test's thread."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.rows = Rows(self._touch)
        self._names: dict[str, tuple[str, bytes]] = {}
        self._trouble: list[tuple[str, tuple[int, str, dict[str, str]]]] = []
        self._drops: list[str] = []
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._changed = threading.Condition()
        self._background = Background("intake")
        self._news = asyncio.Event()
        self.start()

    # ---- what a test does

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def environ(self) -> dict[str, str]:
        return {"COUNTERSIGN_URL": self.url, "COUNTERSIGN_API_KEY": API_KEY}

    def start(self) -> None:
        self._background.run(self._start())

    def stop(self) -> None:
        """Go away, cutting what is open; `start` comes back on the same port with everything kept."""
        self._background.run(self._stop())

    def close(self) -> None:
        self._background.close(self._stop)

    def answer_next(
        self, path: str, status: int, times: int = 1, body: str = "<html>busy</html>", **headers: str
    ) -> None:
        """Answer the next calls whose path ends so with this, without doing anything."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._trouble += [(path, (status, body, named))] * times

    def drop_next(self, path: str, times: int = 1) -> None:
        """Do the next calls whose path ends so, and lose the answer."""
        self._drops += [path] * times

    def wait_until(self, check: Callable[[], object], seconds: float = 20) -> None:
        with self._changed:
            assert self._changed.wait_for(check, seconds), f"it did not happen; calls so far: {self.calls}"

    def wait_for_call(self, start: str, count: int = 1) -> None:
        """Wait until so many calls that begin so ("GET /v1/requests/") have arrived."""
        self.wait_until(lambda: sum(call.startswith(start) for call in self.calls) >= count)

    def row(self, request: str | None = None) -> dict[str, Any]:
        """Return a request as it stands; without an id the newest."""
        return self.rows.rows[request or self.rows.newest()]

    def approve(self, request: str | None = None, by: str = "user:robin") -> None:
        self._do(lambda: self.rows.approve(self.row(request), "quorum", by))

    def deny(self, request: str | None = None, by: str = "user:robin", reason: str = "not now") -> None:
        self._do(lambda: self.rows.deny(self.row(request), by, reason))

    def expire(self, because: str = "nobody_answered") -> None:
        words = "Expired. Nobody said no, nobody said yes."
        self._do(lambda: self.rows.set(self.row(), state="EXPIRED", because=because, agent_message=words))

    def withdraw(self) -> None:
        self._do(lambda: self.rows.set(self.row(), state="CANCELLED", because="withdrawn", agent_message="Stop."))

    def mint(self) -> None:
        self._do(lambda: self.rows.mint(self.row()))

    def fail(self) -> None:
        self._do(lambda: self.rows.set_grant(self.row(), state="FAILED", failure="AWS said no"))

    def end(self, cause: str = "revoke", by: str = "user:robin", reason: str = "", request: str | None = None) -> None:
        self._do(lambda: self.rows.end(self.row(request), cause, by, reason))

    def warn(self, request: str | None = None) -> None:
        self._do(lambda: self.rows.set_grant(self.row(request), warned_at=stamp(datetime.now(UTC))))

    def prove(self, request: str | None = None) -> None:
        self._do(lambda: self.rows.prove(self.row(request)))

    # ---- the server

    def _do(self, step: Callable[[], None]) -> None:
        async def inside() -> None:
            step()

        self._background.run(inside())

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.post("/v1/requests", self._submit),
                web.get("/v1/requests", self._list),
                web.get("/v1/requests/{id}", self._get),
                web.post("/v1/requests/{id}/{verb}", self._act),
                web.get("/v1/grants", self._list_grants),
                web.post("/v1/grants/{id}/{verb}", self._act_on_grant),
                web.get("/v1/audit/{id}", self._audit),
                web.post("/v1/revocations", self._revoke_many),
                web.post("/v1/freeze", self._freeze),
                web.delete("/v1/freeze", self._freeze),
            ]
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self._note(f"{request.method} {request.path}")
        for n, (path, (status, body, headers)) in enumerate(self._trouble):
            if request.path.endswith(path):
                del self._trouble[n]
                return web.Response(status=status, text=body, headers=headers)
        try:
            if request.headers.get("Authorization") != f"Bearer {API_KEY}":
                raise Refusal(401, "unauthenticated", "the API key is unknown")
            if unknown := set(request.query) - QUERIES:
                raise Refusal(400, "malformed", f"{unknown} is not a query of this path")
            response = await handler(request)
        except Refusal as refusal:
            response = web.json_response(refusal.body, status=refusal.status, content_type="application/problem+json")
        for n, path in enumerate(self._drops):
            if request.path.endswith(path):
                del self._drops[n]
                request.transport.abort()
                break
        return response

    async def _submit(self, request: web.Request) -> web.Response:
        key, body = request.headers.get("Idempotency-Key"), await request.read()
        if not key:
            raise Refusal(400, "malformed", "Idempotency-Key is missing", "Idempotency-Key")
        if request.content_type != "application/json":
            raise Refusal(415, "malformed", "send application/json")
        try:
            action = parse_action(body, rfc8785.dumps)
        except CountersignError as error:
            raise Refusal(400, error.code, error.detail, error.field) from error
        self.bodies.append(json.loads(body))
        canonical = rfc8785.dumps(json.loads(body))
        known, known_body = self._names.get(key, (None, canonical))
        if known_body != canonical:
            raise Refusal(422, "key_reused", "this Idempotency-Key belongs to another body", "Idempotency-Key")
        row = self.rows.rows[known] if known else self.rows.folded(action) or self.rows.open(action)
        self._names[key] = (row["id"], canonical)
        pending = row["state"] == "PENDING"
        headers = {"Location": f"/v1/requests/{row['id']}", "Retry-After": "5"} if pending else {}
        return web.json_response(answer(row), status=202 if pending else 200, headers=headers)

    async def _get(self, request: web.Request) -> web.Response:
        row, wait, after = self._find(request), int(request.query.get("wait", "0")), request.query.get("after")
        if not 0 <= wait <= 50:
            raise Refusal(400, "malformed", "wait is 0 to 50 seconds", "wait")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not (row["version"] > int(after) if after else settled(row)):
                    await self._news.wait()
        return web.json_response(answer(row))

    async def _act(self, request: web.Request) -> web.Response:
        row, body, verb = self._find(request), await request.json(), request.match_info["verb"]
        match verb, sorted(body):
            case "cancel", []:
                self._check_waiting(row)
                self.rows.set(row, state="CANCELLED", because="withdrawn", agent_message="Withdrawn. Stop.")
            case "reviews", ["reason", "verdict"]:
                self._check_waiting(row)
                if body["verdict"] == "approve":
                    self.rows.approve(row, "quorum", "user:robin")
                else:
                    self.rows.deny(row, "user:robin", body["reason"])
            case "after-review", ["reason", "verdict"]:
                self._review_after(row, body["verdict"], body["reason"])
            case "consume", ["action_digest"]:
                self._consume(row, body["action_digest"])
            case _:
                raise Refusal(400, "malformed", f"no such body for {verb}: {body}")
        return web.json_response(answer(row))

    def _review_after(self, row: dict[str, Any], verdict: str, reason: str) -> None:
        if row["after_review"] is None:
            raise Refusal(409, "nothing_owed", f"{row['handle']} was no use of break-glass")
        if row["after_review"]["verdict"]:
            raise Refusal(409, "already_decided", f"{row['handle']} is reviewed already")
        if verdict == "unjustified" and not reason:
            raise Refusal(400, "inadmissible", "say why it was not justified", "reason")
        self.rows.review_after(row, "user:robin", verdict, reason)

    def _consume(self, row: dict[str, Any], digest: str) -> None:
        if row["state"] != "APPROVED" or row["grant"] or digest != row["action_digest"]:
            raise Refusal(403, "not_approved", "do not act")
        if row["consumed_at"]:
            raise Refusal(409, "already_decided", "one approval, one action")
        self.rows.set(row, consumed_at=stamp(datetime.now(UTC)))

    async def _act_on_grant(self, request: web.Request) -> web.Response:
        row, body, verb = self._find(request), await request.json(), request.match_info["verb"]
        if (grant := row["grant"]) is None:
            raise Refusal(404, "not_found", "no such grant")
        match verb, sorted(body):
            case "credential", []:
                if grant["state"] != "ACTIVE":
                    raise Refusal(409, "grant_ended", f"{grant['id']} has ended; its credential is gone")
                secret = self.rows.secrets.get(grant["id"], SECRET)
                return web.json_response(credential(row, secret))
            case "heartbeat", []:
                if grant["state"] != "ACTIVE":
                    raise Refusal(409, "grant_ended", f"{grant['id']} has ended")
                return web.json_response(grant)
            case ("release", []) | ("revoke", ["reason"]):
                if grant["state"] not in ("REVOKED", "FAILED"):  # ending what has ended is no error
                    self.rows.end(row, verb, PRINCIPAL, body.get("reason", ""))
                return web.json_response(row["grant"])
            case _:
                raise Refusal(400, "malformed", f"no such body for {verb}: {body}")

    async def _list(self, request: web.Request) -> web.Response:
        if (wanted := request.query.get("state")) != "PENDING":
            raise Refusal(400, "not_built", "only state=PENDING can be listed yet", "state")
        return web.json_response({"requests": [answer(r) for r in self.rows.rows.values() if r["state"] == wanted]})

    async def _list_grants(self, request: web.Request) -> web.Response:
        wanted, actor = request.query.get("state"), request.query.get("actor")
        if wanted not in LIVE:
            raise Refusal(400, "not_built", "only grants that have not ended can be listed yet", "state")
        grants = [row["grant"] for row in self.rows.rows.values() if row["grant"]]
        return web.json_response(
            {"grants": [one for one in grants if one["state"] == wanted and actor in (None, one["actor"])]}
        )

    async def _audit(self, request: web.Request) -> web.Response:
        row = self._find(request)
        draft = Draft(row["id"], "request.submitted", By(PRINCIPAL, "key", PRINCIPAL), "api", {})
        (entry,) = link([draft], datetime.fromisoformat(row["submitted_at"]), {}, None)
        answer = {"subject": row["id"], "records": [json.loads(entry.body)], "note": ""}
        return web.json_response({**answer, "bodies": [entry.body.decode()]} if "bodies" in request.query else answer)

    async def _revoke_many(self, request: web.Request) -> web.Response:
        body = await request.json()
        if sorted(body) != ["dry_run", "reason", "target"] or sorted(body["target"]) != ["kind", "name"]:
            raise Refusal(400, "malformed", f"no such body: {body}")
        kind, name = body["target"]["kind"], body["target"]["name"]
        if kind not in ("grant", "actor", "principal", "role", "all") or (kind == "all") == bool(name):
            raise Refusal(400, "malformed", f"no such target: {body['target']}", "target")
        if kind == "grant" and self.rows.find(name) is None and not self.rows.hit(kind, name):
            raise Refusal(404, "not_found", f"{name} is unknown")
        hit = self.rows.hit(kind, name)
        for row in [] if body["dry_run"] else hit:
            if row["grant"]["state"] != "REVOKING":
                self.rows.end(row, "revoke", PRINCIPAL, body["reason"])
        frozen = self.rows.frozen["on"]
        hint = None if frozen or kind == "grant" else "Not frozen. Freeze first."
        grants = [row["grant"] for row in hit]
        answered = {"target": body["target"], "dry_run": body["dry_run"], "frozen": frozen, "hint": hint}
        return web.json_response({**answered, "grants": grants})

    async def _freeze(self, request: web.Request) -> web.Response:
        body, on = await request.json(), request.method == "POST"
        if sorted(body) != ["reason"] or (on and not body["reason"]):
            raise Refusal(400, "malformed", "say why", "reason")
        return web.json_response(self.rows.freeze(on, body["reason"]))

    def _find(self, request: web.Request) -> dict[str, Any]:
        if (row := self.rows.find(request.match_info["id"])) is None:
            raise Refusal(404, "not_found", f"{request.match_info['id']} is unknown")
        return row

    def _check_waiting(self, row: dict[str, Any]) -> None:
        if row["state"] != "PENDING":
            raise Refusal(409, "already_decided", f"{row['handle']} is decided already")

    def _note(self, call: str) -> None:
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()

    def _touch(self) -> None:
        self._news.set()
        self._news.clear()
        with self._changed:
            self._changed.notify_all()


@contextlib.contextmanager
def intake_world() -> Iterator[IntakeWorld]:
    world = IntakeWorld()
    try:
        yield world
    finally:
        world.close()
