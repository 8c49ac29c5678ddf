"""Serve the console: what waits, what is live, what ended, one request's story, the rules. `mount` is all of its API.

Pages are rendered here and work without a script; a small one keeps them fresh by long polls (`…/live?after=TOKEN`) and
runs the countdowns. The console decides nothing: clicks go to the desk and to custody, and so do their refusals come
back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import CodeType

import aiohttp_jinja2
from aiohttp import web
from aiohttp.typedefs import Middleware
from jinja2 import BytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket

from approvers.card import visible
from approvers.times import spell, to_ms
from bot.deps import Deps
from bot.narrow_form import LABELS, times
from bot.sessions import Sessions
from bot.surfaces import console_guard as guards
from bot.surfaces.console_actions import Actions
from bot.surfaces.console_evidence import Evidence
from bot.surfaces.console_fragments import Fragments
from bot.surfaces.console_guard import Guard, Handler, NotListed, SignedOut
from bot.surfaces.console_mold import Mold
from bot.surfaces.console_pages import Page, Pages
from bot.surfaces.console_reports import ReportPages
from bot.surfaces.console_search import Search
from bot.surfaces.console_shell import Shell, bounce
from bot.surfaces.console_signin import SignIn
from bot.surfaces.console_stops import Stops
from bot.telling import name, place

STATIC = Path(__file__).parent / "static"
MINUTE = timedelta(minutes=1)
TARGET = "{target:[^/]{1,640}}"
ID = r"{id:[A-Za-z0-9_]{1,40}}"
_FILTERS: dict[str, Callable[..., str]] = {
    "person": name,
    "place": place,
    "clock": lambda moment: f"{moment:%H:%M:%S} UTC",
    "ms": lambda moment: str(to_ms(moment)),
    "visible": visible,
    "took": lambda time: "–" if time is None else f"{time.total_seconds():.1f} s" if time < MINUTE else spell(time),
}


class _Compiled(BytecodeCache):
    """Keep what templates were compiled to, so that several applications of one process do it once."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


def mount(app: web.Application, deps: Deps) -> None:
    """Put the console under `/console/` of the application."""
    console = web.Application()
    sessions = Sessions(deps.store.records)
    guard = Guard(deps, sessions)
    env = aiohttp_jinja2.setup(
        console,
        loader=PackageLoader("bot.surfaces"),
        bytecode_cache=_COMPILED,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
        filters=_FILTERS,
    )
    env.globals |= {"version": _version(), "times": times, "less_labels": LABELS}
    mold = Mold(env)
    shell = Shell(deps, guard)
    fragments = Fragments(deps, env, mold)
    pages = Pages(deps, fragments, mold, shell)
    sign_in = SignIn(deps, guard, shell)
    actions = Actions(deps, shell)
    console.middlewares.append(_around(guard, sign_in, shell, actions))
    console.cleanup_ctx.append(pages.follow)
    _add_routes(console, pages, actions, sign_in, Stops(deps, fragments))
    _add_answers(console, Search(deps, shell), ReportPages(deps, shell), Evidence(deps))
    app.router.add_get("/console", _to_console)  # before the rest, which would take it for a page without a name
    app.add_subapp("/console/", console)


def _add_routes(console: web.Application, pages: Pages, actions: Actions, sign_in: SignIn, stops: Stops) -> None:
    for path, page in (
        ("/", Page("Requests", pages.overview)),
        (f"/requests/{ID}", Page("Request", pages.request)),
        ("/policy", Page("Policy", pages.policy)),
        ("/reviewers", Page("Reviewers", pages.reviewers)),
        ("/stop", Page("Stop", stops.switches)),
        (f"/stop/of/{TARGET}", Page("Stop", stops.target)),
    ):
        console.router.add_get(path, pages.show(page))
        console.router.add_get(f"{path.rstrip('/')}/live", pages.live(page))
    console.router.add_post("/requests/{id:req_[0-9A-Z]{26}}/review", actions.review)
    console.router.add_post("/requests/{id:req_[0-9A-Z]{26}}/after-review", actions.after_review)
    console.router.add_post("/grants/{id:grt_[0-9A-Z]{26}}/revoke", actions.revoke)
    console.router.add_post("/stop/freeze", stops.freeze)
    console.router.add_post("/stop/lift", stops.lift)
    console.router.add_post(f"/stop/of/{TARGET}/revoke", stops.revoke)
    console.router.add_get("/sign-in", sign_in.page)
    console.router.add_get("/sign-in/{token:csl_[A-Za-z0-9_-]+}", sign_in.link)
    console.router.add_post("/sign-in", sign_in.enter)
    console.router.add_post("/sign-in/as", sign_in.choose)
    console.router.add_post("/sign-out", sign_in.leave)
    console.router.add_static("/static", STATIC)


def _add_answers(console: web.Application, search: Search, reports: ReportPages, evidence: Evidence) -> None:
    """Add the pages for whoever asks later: they stand still, and are not followed by polls."""
    console.router.add_get("/search", search.page)
    console.router.add_get("/reports", reports.page)
    console.router.add_get("/reports.csv", reports.file)
    console.router.add_get(f"/requests/{ID}/records.jsonl", evidence.records)


def _around(guard: Guard, sign_in: SignIn, shell: Shell, actions: Actions) -> Middleware:
    """Return what stands around every handler: the guard before it, pages for its errors and headers after it."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await _answered(request, handler, guard, sign_in, actions)
        except Exception as error:  # whatever it is, a person looks at it: words on a page, and nothing from inside
            response = shell.failure(request, error)
        guards.finish(response, static=request.path.startswith(guards.PUBLIC[0]))
        return response

    return around


async def _answered(
    request: web.Request, handler: Handler, guard: Guard, sign_in: SignIn, actions: Actions
) -> web.StreamResponse:
    try:
        await guard.check(request)
        return await handler(request)
    except NotListed as error:
        await actions.turned_away(request, error)
        return await sign_in.ask(request, status=401, why=error.detail)
    except SignedOut as error:
        return await _signed_out(request, error, sign_in)


async def _signed_out(request: web.Request, error: SignedOut, sign_in: SignIn) -> web.Response:
    if request.path.endswith("/live"):
        return web.json_response({"detail": error.detail}, status=401)
    if request.method == "GET" and request.headers.get("Sec-Fetch-Site") == "cross-site":
        # A strict cookie stays at home when a link in chat is followed; our own page, loading itself, brings it along.
        return bounce(request)
    return await sign_in.ask(request, status=401, why=error.detail if request.method == "POST" else "")


def _version() -> str:
    """Return what changes with the script and the style, so that no browser mixes an old one with new pages."""
    files = sorted(STATIC.iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


async def _to_console(_request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": "/console/"})
