"""Whatever is typed at the API is in no record and no event: only beside the log, where it can be erased."""

import json

import pytest

from approvers.audit import SYSTEM
from tests.worlds.duty import on_duty, put_live
from tests.worlds.web import Web
from workers.stores.memory import memory_store

WORD = "marker-word"
NAMES = {"action": "s3:ListAllMyBuckets", "resource": "arn:aws:s3:::names", "access": None, "data_classes": None,
         "ttl_seconds": 60}  # fmt: skip
"""What a rule alone allows."""


@pytest.fixture
async def web():
    async with Web.over(memory_store()) as running:
        yield await on_duty(running)


async def test_no_typed_word_is_in_the_log(web: Web):
    typed = {name: f"{WORD} {name}" for name in ("reason", "undo")}
    asked = (await web.ask(**typed, parameters={"note": f"{WORD} parameters"})).json["id"]
    await web.review(asked, verdict="deny", reason=f"{WORD} review")
    other = (await web.ask("k2", ttl_seconds=61)).json["id"]
    await put_live(web.store, 1)
    for method, path, body in (
        ("POST", "/v1/revocations", {"target": {"kind": "actor", "name": "agent:report-bot"}, "reason": WORD}),
        ("POST", "/v1/freeze", {"reason": f"{WORD} freeze"}),
        ("DELETE", "/v1/freeze", {"reason": f"{WORD} thaw"}),
    ):
        assert (await web.call(method, path, who="user:alex", json=body)).status < 300, path
        if path == "/v1/freeze" and method == "POST":  # whoever is turned away is told why
            for refused in (await web.ask("k3", **NAMES), await web.review(other)):
                assert (refused.json["code"], WORD in refused.json["detail"]) == ("frozen", True)
    bodies = await web.store.log.tail(0, 10_000)
    assert not [body for body in bodies if WORD.encode() in body]
    assert WORD not in json.dumps(await web.store.outbox.unread(1_000))
    records = [one for subject in (SYSTEM, asked, other) for one in await web.records(subject)]
    kinds = {one["type"] for one in records if WORD in json.dumps(one)}
    assert kinds == {"request.submitted", "review.recorded", "review.refused", "revocation.requested", "freeze.set",
                     "freeze.lifted"}  # fmt: skip
    assert len(await web.store.log.texts([asked, SYSTEM])) > 5
