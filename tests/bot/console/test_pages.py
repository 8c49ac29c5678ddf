import json
import re

import pytest

from approvers.audit import Draft
from tests.bot.console.conftest import Visitor, until
from tests.bot.console.world import BOT, World
from tests.worlds.texts import records_of
from workers.stores import layout
from workers.stores.memory import MemoryStore
from workers.stores.port import Commit

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


@pytest.mark.parametrize("path", ["/console/", "/console/policy", "/console/nothing", "/console/static/console.js"])
async def test_every_answer_is_fenced_in(visitor: Visitor, path: str) -> None:
    for signed_in in (False, True):
        if signed_in:
            await visitor.be("robin")
        async with visitor.http.get(path) as answer:
            assert answer.headers["Content-Security-Policy"] == CSP
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == ("no-cache" if "static" in path else "no-store")


async def test_no_page_has_inline_script_or_style(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    pages = [(await visitor.get("/console/"))[1]]
    await visitor.be("robin")
    for path in (
        "/console/",
        "/console/policy",
        "/console/reviewers",
        "/console/search?actor=report-bot",
        "/console/reports",
        f"/console/requests/{view.request.id}",
        "/console/x",
    ):
        pages.append((await visitor.get(path))[1])
    for page in pages:
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert not re.search(r"""(?:src|href|action)="(?!/console/|#)""", page)


async def test_no_secret_is_on_any_page(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    token = (await world.link("robin")).rpartition("/")[2]
    await visitor.post("/console/sign-in", token=token)
    await visitor.review(view.request.id, "approve")
    page = await until(visitor, f"/console/requests/{view.request.id}", "ACTIVE")
    others = ("/console/", "/console/policy", "/console/reviewers", "/console/live", "/console/search?actor=report-bot",
              "/console/reports", "/console/reports.csv?from=1d")  # fmt: skip
    pages = [page] + [(await visitor.get(path))[1] for path in others]
    cookie = visitor.cookies()["countersign"]
    for secret in (cookie, token, "DRYRUN-no-secret", "DRYRUN-no-token", "sealed"):
        assert all(secret not in page for page in pages)
    assert "DRYRUN" in page  # the search would have found it: the access key id is there


async def test_hostile_text_is_shown_harmlessly_and_kept_whole(world: World, visitor: Visitor) -> None:
    reason = "</bdi></dd><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}\u202egnp\x00" + "é" * 40_000
    view = await world.ask(reason=reason, ticket="<b>&\u2066", undo="<!--", project="a")
    await visitor.be("robin")
    for path in ("/console/", f"/console/requests/{view.request.id}"):
        _, page = await visitor.get(path)
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "{{7*7}}" in page
        assert not {"\u202e", "\u2066", "\x00"} & set(page)
        assert "⟨U+202E⟩" in page
        assert "more characters" in page or path != "/console/"
    assert "é" * 40_000 in page  # on its own page nothing is cut
    stored = (await records_of(world.deps.store, view.request.id))[0]
    assert stored["data"]["action"]["reason"] == reason


async def test_text_that_looks_like_our_places_fills_none(world: World, visitor: Visitor) -> None:
    view = await world.ask(reason="<!--0 req_1--> form-token-0 data-note")
    await visitor.be("robin")
    _, page = await visitor.get("/console/")
    assert "&lt;!--0 req_1--&gt; form-token-0 data-note" in page
    assert "<!--" not in page
    assert view.request.handle in page


async def test_one_request_tells_everything(world: World, visitor: Visitor) -> None:
    view = await world.ask_high()
    await visitor.be("robin")
    status, page = await visitor.get(f"/console/requests/{view.request.handle.lower()}")
    assert status == 200
    for words in (
        view.request.action_digest,
        view.request.ruling.policy_sha256,
        "PEOPLE ARE ASKED: 1 of sre",
        "People are asked by review-exports, review-pii.",
        "• data_class: the rule wants pii, the request has pii",
        "Still needed: 1 of sre.",
        "Nobody has answered.",
        "asks for s3:GetObject on arn:aws:s3:::customer-exports/2026/01/*",
        "request.submitted",
        "1 record, each holding the hash of the one before: whole.",
        "+15 data in play: pii",
    ):
        assert words in page
    assert (await visitor.get("/console/requests/req_0"))[0] == 404


async def test_a_broken_chain_is_called_broken(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    memory = world.deps.store.records
    assert isinstance(memory, MemoryStore)
    chain = memory._state.chains[view.request.id]
    chain[0] = chain[0].replace(b"02:10", b"02:11")
    chain.append(chain[0])
    await visitor.be("robin")
    assert "The chain is broken" in (await visitor.get(f"/console/requests/{view.request.id}"))[1]


async def test_the_rules_as_applied(world: World, visitor: Visitor) -> None:
    await visitor.be("robin")
    _, page = await visitor.get("/console/policy")
    book = world.deps.policies.current
    for words in (
        book.policy_sha256,
        book.roster_sha256,
        "by <bdi>ops</bdi>",
        "the demo&#39;s rules",
        "[rule.review-pii]",
    ):
        assert words in page


async def test_a_freeze_is_on_the_pages(world: World, visitor: Visitor) -> None:
    record = json.dumps({"v": 1, "on": True, "why": "incident 7"})
    commit = layout.commit(await world.deps.store.records.now(), layout.put(layout.FREEZE, 0, record))
    await world.deps.store.records.commit(commit)
    await visitor.be("robin")
    assert "incident 7" in (await visitor.get("/console/"))[1]


async def test_recently_ended_is_newest_first_and_bounded(world: World, visitor: Visitor) -> None:
    asked = [await world.ask(reason="") for _ in range(14)]  # policy denies what has no reason
    waiting = await world.ask()
    await visitor.be("robin")
    _, page = await visitor.get("/console/")
    ended = page[page.index("Recently ended") :]
    places = [ended.find(f'id="card-{view.request.id}"') for view in asked]
    assert places[:2] == [-1, -1]
    assert all(place > 0 for place in places[2:])
    assert places[2:] == sorted(places[2:], reverse=True)
    assert waiting.request.id not in ended
    await world.ask(reason="")
    _, page = await visitor.get("/console/")
    assert f'id="card-{asked[2].request.id}"' not in page


async def test_a_long_list_shows_the_oldest_and_says_so(world: World, visitor: Visitor) -> None:
    asked = [await world.ask() for _ in range(53)]
    await visitor.be("robin")
    _, page = await visitor.get("/console/")
    assert [f'id="card-{view.request.id}"' in page for view in asked] == [True] * 50 + [False] * 3
    assert 'data-waiting="53"' in page
    assert "The 50 oldest of 53 are shown" in page


async def test_a_long_log_is_not_read_from_its_start(world: World, visitor: Visitor) -> None:
    early = await world.ask(reason="")
    drafts = [Draft(f"x_{number}", "x.noted", BOT.by, "api") for number in range(2_000)]
    await world.deps.store.records.commit(Commit(at=await world.deps.store.records.now(), drafts=drafts))
    late = await world.ask(reason="")
    await visitor.be("robin")
    _, page = await visitor.get("/console/")
    assert early.request.id not in page
    assert late.request.id in page
