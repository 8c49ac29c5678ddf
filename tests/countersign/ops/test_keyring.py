import json
from datetime import timedelta

import pytest

from approvers.audit import check_chain
from bot.identity import Keys
from countersign.ops.keyring import (
    KeyTrouble,
    check_scopes,
    is_live,
    list_keys,
    live_keys_of,
    make_key,
    revoke_key,
)
from workers.stores.memory import memory_store
from workers.stores.port import Store
from workers.vault import hash_key

BOT = "caller:report-bot"


async def test_only_the_hash_is_stored_and_the_key_opens(store: Store) -> None:
    secret, key = await make_key(store.records, principal=BOT, scopes=("request",), by="lena")
    assert secret.startswith("cs_")
    record = (await store.records.read([f"key:{hash_key(secret)}"])).records[f"key:{hash_key(secret)}"]
    assert secret not in record.json
    who = await Keys(store.records).identify(secret)
    assert who is not None
    assert (who.principal, who.scopes, who.by.sub) == (BOT, frozenset({"request"}), key.id)


async def test_making_and_revoking_are_records_without_the_secret(store: Store) -> None:
    secret, key = await make_key(store.records, principal=BOT, scopes=("request", "read"), by="lena")
    await revoke_key(store.records, key.id, by="kim")
    chain = await store.log.chain("sys")
    check_chain("sys", chain)
    made, revoked = (json.loads(body) for body in chain)
    assert (made["type"], made["by"]["person"]) == ("key.made", "lena")
    assert made["data"] == {"id": key.id, "principal": BOT, "scopes": ["request", "read"]}
    assert (revoked["type"], revoked["by"]["person"]) == ("key.revoked", "kim")
    assert secret.encode() not in b"".join(chain)


async def test_a_revoked_key_opens_nothing_and_revoking_again_changes_nothing(store: Store) -> None:
    secret, key = await make_key(store.records, principal=BOT, scopes=("request",), by="lena")
    first = await revoke_key(store.records, key.id, by="lena")
    again = await revoke_key(store.records, key.id, by="somebody else")
    assert first == again
    assert await Keys(store.records).identify(secret) is None
    assert len(await store.log.chain("sys")) == 2


async def test_two_live_keys_at_most_for_each_principal(store: Store) -> None:
    _, first = await make_key(store.records, principal=BOT, scopes=("request",), by="lena")
    await make_key(store.records, principal=BOT, scopes=("request",), by="lena")
    with pytest.raises(KeyTrouble, match="2 live keys"):
        await make_key(store.records, principal=BOT, scopes=("request",), by="lena")
    await make_key(store.records, principal="user:dana", scopes=("review",), by="lena")  # another's count is its own
    await revoke_key(store.records, first.id, by="lena")
    await make_key(store.records, principal=BOT, scopes=("request",), by="lena")
    assert len(await live_keys_of(store.records, BOT)) == 2
    assert len(await list_keys(store.records)) == 4


async def test_expired_keys_make_room_for_new_ones() -> None:
    now = [None]
    plain = memory_store()
    start = await plain.records.now()
    now[0] = start
    store = memory_store(lambda: now[0])
    lifetime = timedelta(days=90)
    for _ in range(2):
        await make_key(store.records, principal=BOT, scopes=("request",), by="lena", lifetime=lifetime)
    now[0] = start + lifetime
    assert await live_keys_of(store.records, BOT) == []
    await make_key(store.records, principal=BOT, scopes=("request",), by="lena")
    keys = await list_keys(store.records)
    assert [is_live(key, now[0]) for key in keys] == [False, False, True]


async def test_an_unknown_id_is_told(store: Store) -> None:
    with pytest.raises(KeyTrouble, match="there is no key key_X"):
        await revoke_key(store.records, "key_X", by="lena")


@pytest.mark.parametrize(
    ("principal", "scopes", "words"),
    [
        (BOT, [], "opens nothing"),
        (BOT, ["reqest"], "did you mean 'request'"),
        (BOT, ["request", "review"], "only people review"),
    ],
)
def test_scopes_are_checked(principal: str, scopes: list[str], words: str) -> None:
    with pytest.raises(KeyTrouble, match=words):
        check_scopes(principal, scopes)


def test_scopes_have_one_order() -> None:
    assert check_scopes("user:dana", ["read", "review"]) == ("review", "read")
