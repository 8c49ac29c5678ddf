"""Only what Slack signed, recently and for the first time, reaches a listener; all else is 401, 400, 413 or 503."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace
from typing import Any

import pytest
from slack_bolt.response import BoltResponse

from approvers.errors import Forbidden
from bot.surfaces.slack_claims import Claims
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.surfaces.slack_ingress import MAX_BODY, PATH, SlackIngress
from bot.surfaces.slack_parts import SlackParts
from tests.bot.slack.gate import FORM, ID, JSON, SECRET, click, command, event, gate, signature
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Store, Unavailable


class Ears:
    """Listeners that note what reached them."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.rows = [
            ("command", "/countersign", self.command),
            ("action", "cs_approve", self.action),
            ("view", "cs_deny_view", self.view),
            ("event", "user_change", self.event),
            ("shortcut", "cs_show", self.view),
        ]

    async def command(self, _parts: SlackParts, call: Incoming) -> Answer:
        self.heard.append(str(call.body["text"]))
        return Answer({"response_type": "ephemeral", "text": "done"})

    async def action(self, _parts: SlackParts, call: Incoming) -> None:
        self.heard.append(call.value)

    async def view(self, _parts: SlackParts, call: Incoming) -> Answer | None:
        self.heard.append(str(call.body["type"]))
        return Answer({"response_action": "errors", "errors": {"words": "say why"}}) if call.view else None

    async def event(self, _parts: SlackParts, call: Incoming) -> None:
        self.heard.append(call.user)


@pytest.fixture
def ears() -> Ears:
    return Ears()


NESTED = b"payload=" + b"[" * 100_000
HALF = json.dumps({"type": "block_actions", "user": {"id": "U1"}, "x": "\ud800"}).encode()
VIEW = (
    b"payload="
    + json.dumps(
        {"type": "view_submission", "user": {"id": "U1"}, "view": {"callback_id": "cs_deny_view", "type": "modal"}}
    ).encode()
)
SHORTCUT = (
    b"payload="
    + json.dumps(
        {"type": "message_action", "callback_id": "cs_show", "user": {"id": "U1"}, "channel": {"id": "C1"}}
    ).encode()
)


@pytest.mark.parametrize(
    ("body", "kind", "heard"),
    [
        pytest.param(command("list"), FORM, ["list"], id="command"),
        pytest.param(command("show payload"), FORM, ["show payload"], id="payload-in-text"),
        pytest.param(command("a", channel_name="payload-team"), FORM, ["a"], id="payload-in-channel"),
        pytest.param(command("payload={}"), FORM, ["payload={}"], id="payload-field-in-text"),
        pytest.param(click(), FORM, [f"{ID}.ab12"], id="button"),
        pytest.param(VIEW, FORM, ["view_submission"], id="view"),
        pytest.param(SHORTCUT, FORM, ["message_action"], id="shortcut"),
        pytest.param(event(user={"id": "U7"}), JSON, ["U7"], id="event"),
        pytest.param(event("team_rename"), JSON, [], id="event-of-no-interest"),
        pytest.param(click("cs_gone"), FORM, [], id="old-button"),
        pytest.param(b"ssl_check=1&token=x", FORM, [], id="ssl-check"),
    ],
)
async def test_what_slack_signed_is_served(ears: Ears, body: bytes, kind: str, heard: list[str]) -> None:
    async with gate(memory_store(), ears.rows) as port:
        assert (await port.post(body, kind=kind)).status == 200
    assert ears.heard == heard


async def test_answers_travel_in_the_acknowledgement(ears: Ears) -> None:
    async with gate(memory_store(), ears.rows) as port:
        assert (await port.post(command())).json == {"response_type": "ephemeral", "text": "done"}
        assert (await port.post(VIEW)).json == {"response_action": "errors", "errors": {"words": "say why"}}
        assert (await port.post(click())).body == b""
        challenge = json.dumps({"type": "url_verification", "challenge": "CH"}).encode()
        assert (await port.post(challenge, kind=JSON)).json == {"challenge": "CH"}
        other = await port.post(command().replace(b"countersign", b"countersing"))
        assert other.json["text"] == "Countersign answers to `/countersign help`."


@pytest.mark.parametrize("age", [290, -290], ids=["old", "ahead"])
async def test_clocks_may_differ_by_five_minutes(ears: Ears, age: int) -> None:
    async with gate(memory_store(), ears.rows) as port:
        assert (await port.post(command("x"), age=age)).status == 200
    assert ears.heard == ["x"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"age": 310}, id="stale"),
        pytest.param({"age": -310}, id="from-the-future"),
        pytest.param({"timestamp": "abc"}, id="timestamp-text"),
        pytest.param({"timestamp": "1" * 5000}, id="timestamp-5000-digits"),
        pytest.param({"timestamp": "١٢٣"}, id="timestamp-other-digits"),
        pytest.param({"timestamp": ""}, id="no-timestamp"),
        pytest.param({"signed": ""}, id="no-signature"),
        pytest.param({"signed": "v0=" + "0" * 64}, id="wrong-signature"),
        pytest.param({"signed": "v0=" + "0" * 63}, id="short-signature"),
        pytest.param({"signed": "v0=é"}, id="non-ascii-signature"),
        pytest.param({"signed": "v1=" + "0" * 64}, id="other-scheme"),
        pytest.param({"body": b"ssl_check=1&token=x", "signed": "v0=x"}, id="unsigned-ssl-check"),
        pytest.param({"body": b'{"type":"url_verification","challenge":"x"}', "kind": JSON, "signed": "v0=x"},
                     id="unsigned-challenge"),
        pytest.param({"body": NESTED, "signed": "v0=" + "0" * 64}, id="unsigned-deep-nesting"),
        pytest.param({"body": b"payload=\xff\xfe", "signed": "v0=" + "0" * 64}, id="unsigned-not-utf8"),
    ],
)  # fmt: skip
async def test_what_slack_did_not_sign_is_401(ears: Ears, changes: dict[str, object]) -> None:
    async with gate(memory_store(), ears.rows) as port:
        got = await port.post(changes.pop("body", command()), **changes)  # type: ignore[arg-type]
        assert (got.status, got.json) == (401, {"error": "request refused"})
    assert ears.heard == []


async def test_a_signature_of_another_body_or_secret_is_401(ears: Ears) -> None:
    now = str(int(time.time()))
    async with gate(memory_store(), ears.rows) as port:
        for signed in (signature(command("other"), now), signature(command(), now, "another-secret-0123")):
            assert (await port.post(command(), timestamp=now, signed=signed)).status == 401
    assert ears.heard == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"payload=%7Bnope", FORM, id="broken-json"),
        pytest.param(b"payload=[1]", FORM, id="array-in-payload"),
        pytest.param(b"[1,2]", JSON, id="array"),
        pytest.param(b"1" * 5000, JSON, id="number-of-5000-digits"),
        pytest.param(NESTED, FORM, id="deep-nesting"),
        pytest.param(b"text=%ff", FORM, id="percent-not-utf8"),
        pytest.param(b"payload=\xff\xfe", FORM, id="not-utf8"),
        pytest.param(HALF, JSON, id="half-a-character"),
        pytest.param(b"{}", "text/plain", id="content-type"),
        pytest.param(b"{}", "multipart/form-data", id="multipart"),
    ],
)
async def test_a_signed_body_that_is_not_slacks_is_400(ears: Ears, body: bytes, kind: str) -> None:
    async with gate(memory_store(), ears.rows) as port:
        assert (await port.post(body, kind=kind)).status == 400
    assert ears.heard == []


async def test_a_body_is_taken_up_to_a_mebibyte_and_unsigned_ones_are_not_read(ears: Ears) -> None:
    async with gate(memory_store(), ears.rows) as port:
        large = click(extra="x" * (MAX_BODY - 2000))
        assert (await port.post(large)).status == 200
        assert (await port.post(b"x" * (MAX_BODY + 1))).status == 413
        assert (await port.post(b"x" * (MAX_BODY + 1), signed="v0=x")).status == 401
    assert len(ears.heard) == 1


async def test_a_body_that_never_comes_whole_is_400(ears: Ears) -> None:
    async with gate(memory_store(), ears.rows) as port:
        host, _, number = port.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Slack-Request-Timestamp: 1\r\nX-Slack-Signature: v0={'0' * 64}\r\n"
        )
        writer.write(f"{head}Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
        assert b" 400 " in await reader.readline()
        writer.close()
    assert ears.heard == []


async def test_no_header_changes_what_is_run(ears: Ears) -> None:
    sly = {"X-Slack-Bolt-Lazy-Only": "1", "X-Slack-Bolt-Lazy-Function-Name": "x", "X-Slack-Retry-Num": "1"}
    async with gate(memory_store(), ears.rows) as port:
        assert (await port.post(command("b"), headers=sly)).status == 200
    assert ears.heard == ["b"]


class TestReplays:
    """The same signature is served once, whichever process it reaches."""

    async def test_an_exact_replay_runs_nothing(self, store: Store, ears: Ears) -> None:
        now = str(int(time.time()))
        async with gate(store, ears.rows) as one, gate(store, ears.rows) as two:
            for port in (one, two, one):
                assert (await port.post(click(), timestamp=now)).status == 200
            assert one.counts["replayed"] + two.counts["replayed"] == 2
        assert len(ears.heard) == 1

    async def test_of_many_at_once_one_runs(self, store: Store, ears: Ears) -> None:
        now = str(int(time.time()))
        async with gate(store, ears.rows) as port:
            got = await asyncio.gather(*(port.post(click(), timestamp=now) for _ in range(20)))
        assert {one.status for one in got} == {200}
        assert len(ears.heard) == 1

    async def test_nothing_runs_before_the_claim_is_ours(self, ears: Ears) -> None:
        held = Held(memory_store())
        async with gate(held.store(), ears.rows) as port:
            answer = asyncio.create_task(port.post(click()))
            await held.asked.wait()
            for _ in range(50):
                await asyncio.sleep(0)
            assert ears.heard == []
            held.let_go.set()
            assert (await answer).status == 200
        assert len(ears.heard) == 1

    async def test_an_event_sent_again_with_a_new_signature_runs_once(self, store: Store, ears: Ears) -> None:
        async with gate(store, ears.rows) as port:
            for age in (0, 10, 20):
                assert (await port.post(event(user="U7"), kind=JSON, age=age)).status == 200
            await port.post(event(event_id="Ev2", user="U8"), kind=JSON)
        assert ears.heard == ["U7", "U8"]

    async def test_a_click_repeated_by_hand_is_another_click(self, ears: Ears) -> None:
        async with gate(memory_store(), ears.rows) as port:
            await port.post(click(), age=1)
            await port.post(click(), age=0)
        assert len(ears.heard) == 2

    async def test_without_a_store_nothing_is_taken_and_the_same_bytes_may_come_again(self, ears: Ears) -> None:
        store, now = memory_store(), str(int(time.time()))
        away = Away(store)
        async with gate(away.store(), ears.rows) as port:
            assert (await port.post(click(), timestamp=now)).status == 503
            assert ears.heard == []
            away.gone = False
            assert (await port.post(click(), timestamp=now)).status == 200
        assert len(ears.heard) == 1

    async def test_what_ended_badly_gives_its_claim_back(self, ears: Ears) -> None:
        store, now = memory_store(), str(int(time.time()))
        claims = Claims(store.records)
        ingress = SlackIngress(SECRET, claims, unheard, unheard, count=lambda _word: None)
        assert await claims.take("call", signature(click(), now))
        with pytest.raises(RuntimeError, match="broken"):
            await ingress._answered(broken, signature(click(), now))
        async with gate(store, ears.rows) as port:
            assert (await port.post(click(), timestamp=now)).status == 200
        assert len(ears.heard) == 1


class TestListeners:
    """A listener ends before Slack is answered, and its failure becomes words."""

    async def test_one_that_takes_too_long_is_stopped_before_it_does_anything(self) -> None:
        done: list[str] = []

        async def slow(_parts: SlackParts, _call: Incoming) -> None:
            await asyncio.sleep(5)
            done.append("committed")

        async with gate(memory_store(), [("command", "/countersign", slow)], seconds=0.05) as port:
            told = (await port.post(command())).json
            assert told["text"].startswith("Not recorded")
            assert told["response_type"] == "ephemeral"
            assert port.counts["TimeoutError"] == 1
        assert done == []

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (Forbidden("This request has no seat for *you*."), "This request has no seat for"),
            (Unavailable("redis://:hush@h"), "The store does not answer"),
            (RuntimeError("hush"), "Our fault"),
        ],
        ids=["ours", "store", "bug"],
    )
    async def test_one_that_fails_tells_the_person_and_not_the_secret(
        self, error: Exception, words: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fails(_parts: SlackParts, _call: Incoming) -> None:
            raise error

        async with gate(memory_store(), [("command", "/countersign", fails)]) as port:
            got = await port.post(command())
        assert got.status == 200
        assert got.json["blocks"][0]["elements"][0]["elements"][0]["text"].startswith(words)
        assert "hush" not in got.body.decode()
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == [] or words == "Our fault"

    async def test_a_dialogs_failure_is_shown_in_its_place(self) -> None:
        async def fails(_parts: SlackParts, _call: Incoming) -> None:
            raise Forbidden("No seat for you.")

        async with gate(memory_store(), [("view", "cs_deny_view", fails)]) as port:
            told = (await port.post(VIEW)).json
        assert (told["response_action"], told["view"]["callback_id"]) == ("update", "cs_notice_view")
        assert "No seat for you." in json.dumps(told["view"])

    async def test_no_body_token_or_signature_is_logged(
        self, ears: Ears, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        now = str(int(time.time()))
        async with gate(memory_store(), ears.rows) as port:
            await port.post(command("hush-text"), timestamp=now)
            await port.post(command("hush-text"), timestamp=now, signed="v0=" + "ab" * 32)
            await port.post(b"payload=hush-text", timestamp=now)
            await port.post(click("cs_gone", "hush-text"), timestamp=now)
        said = caplog.text + "".join(capsys.readouterr())
        assert "hush-text" not in said
        assert signature(command("hush-text"), now) not in said
        assert SECRET not in said


class Held:
    """A store that answers commits only once the test lets it."""

    def __init__(self, store: Store) -> None:
        self.asked, self.let_go, self._store = asyncio.Event(), asyncio.Event(), store

    def store(self) -> Store:
        return replace(self._store, records=self)  # type: ignore[arg-type]

    async def commit(self, commit: Commit) -> None:
        self.asked.set()
        await self.let_go.wait()
        await self._store.records.commit(commit)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store.records, name)


class Away:
    """A store that cannot be reached until the test says so."""

    def __init__(self, store: Store) -> None:
        self.gone, self._store = True, store

    def store(self) -> Store:
        return replace(self._store, records=self)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        if self.gone and name in ("now", "commit", "read"):
            raise Unavailable("away")
        return getattr(self._store.records, name)


async def broken() -> BoltResponse:
    raise RuntimeError("broken")


async def unheard(_body: object) -> Any:
    raise AssertionError("nothing is to be found, and nobody is sorry here")


def test_an_empty_secret_stops_the_start() -> None:
    with pytest.raises(ValueError, match="signing secret"):
        SlackIngress("", Claims(memory_store().records), unheard, unheard, count=lambda _word: None)


def test_the_gate_signs_as_slack_does() -> None:
    """Slack's own example, from its page on verifying requests."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    assert signature(body, "1531420618", "8f742231b10e8888abcd99yyyzzz85a5") == (
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    )
