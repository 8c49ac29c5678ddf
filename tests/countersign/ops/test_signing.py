"""`countersign keys signing`: a key is printed once; what happens to one is recorded, where it can be true."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from approvers.audit import By, Draft
from approvers.checkpoint import Checkpoint
from approvers.notes import parse_verifier
from approvers.tree import EMPTY
from countersign.commands.common import WrongOption
from countersign.ops.connect import who
from tests.countersign.ops.conftest import Command
from tests.worlds.notaries import NEW, notary
from tests.worlds.signing import KEY, LOG
from tests.worlds.valkey import Valkey
from workers.clock.notary import NotSigned
from workers.clock.witness import Witness
from workers.signing import SigningKey, public_of
from workers.stores.port import Commit, Store
from workers.stores.redis import connect


def on_store(valkey: Valkey, key: SigningKey = KEY, witness: Witness | None = None) -> int:
    """Write one record, have a clock's notary sign, and return the signed size."""

    async def work() -> int:
        store = await connect(valkey.url)
        try:
            await _write(store)
            return (await notary(store, key, witness=witness).cover(await store.log.size())).size
        finally:
            await store.aclose()

    return asyncio.run(work())


async def _write(store: Store) -> None:
    now = await store.records.now()
    draft = Draft(f"of:{await store.log.size()}", "test.done", By(None, "test", "test"), "api")
    await store.records.commit(Commit(at=now, drafts=[draft]))


def told_of(valkey: Valkey, kind: str) -> list[dict[str, object]]:
    async def work() -> list[bytes]:
        store = await connect(valkey.url)
        try:
            return await store.log.chain("sys")
        finally:
            await store.aclose()

    return [one["data"] for one in map(json.loads, asyncio.run(work())) if one["type"] == kind]


def test_a_new_key_is_printed_alone_and_its_public_half_is_told_beside_it(command: Command) -> None:
    told = command("keys", "signing", "new", "countersign.example.com/log")
    key = SigningKey.parse(told.out)
    assert (told.code, key.name, len(told.out.splitlines())) == (0, "countersign.example.com/log", 1)
    assert public_of(key).text in told.err
    assert told.out.strip() not in told.err


@pytest.mark.parametrize("name", ["", "a b", "a+b", "x" * 201])
def test_a_name_that_cannot_sign_is_refused(command: Command, name: str) -> None:
    told = command("keys", "signing", "new", name)
    assert (told.code, told.out) == (1, "")
    assert "no name for a key" in told.err


def test_the_keys_that_signed_are_listed_and_a_lost_one_is_recorded(command: Command, empty_valkey: Valkey) -> None:
    none = command("keys", "signing", "list")
    assert (none.code, none.out) == (0, "")
    assert "start a clock" in none.err
    early = command("keys", "signing", "lost", "--why", "the disk died")
    assert early.code == 1
    assert "no key can be lost" in early.err
    size = on_store(empty_valkey)
    with pytest.raises(NotSigned, match="countersign keys signing lost"):
        on_store(empty_valkey, NEW)
    assert command("keys", "signing", "lost", "--why", "the disk died", "--by", "user:kim").code == 0
    twice = command("keys", "signing", "lost", "--why", "the disk died", "--by", "user:kim")
    assert (twice.code, "recorded already" in twice.err) == (1, True)
    [lost] = told_of(empty_valkey, "key.lost")
    assert (lost["old"], lost["size"]) == (public_of(KEY).text, size)
    on_store(empty_valkey, NEW)
    listed = json.loads(command("keys", "signing", "list", "--json").out)
    assert [parse_verifier(one["key"]) for one in listed] == [public_of(KEY), public_of(NEW)]
    assert command("keys", "signing", "list").out.splitlines()[1] == f"{public_of(NEW).text}  from size {size} on"


def test_another_log_is_accepted_only_where_one_was_found(command: Command, empty_valkey: Valkey) -> None:
    on_store(empty_valkey)
    early = command("keys", "signing", "accept-rollback", "--why", "restored")
    assert early.code == 1
    assert "nothing to accept" in early.err
    witness = Witness(None)
    witness.saw(Checkpoint(LOG, 900, EMPTY), "")
    with pytest.raises(NotSigned, match="accept-rollback"):
        on_store(empty_valkey, witness=witness)
    assert command("keys", "signing", "accept-rollback", "--why", "restored", "--by", "user:kim").code == 0
    [accepted] = told_of(empty_valkey, "log.rollback_accepted")
    assert (accepted["size"], accepted["root"]) == (900, EMPTY.hex())
    assert on_store(empty_valkey, witness=witness) > 2


def test_where_the_machine_knows_no_name_it_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_001)  # as a container that runs as a number
    with pytest.raises(WrongOption) as caught:
        who(None)
    assert (caught.value.field, who("user:kim")) == ("--by", "user:kim")


@pytest.mark.parametrize("verb", ["lost", "accept-rollback"])
def test_nothing_is_said_without_a_reason(command: Command, verb: str) -> None:
    assert command("keys", "signing", verb).code != 0
