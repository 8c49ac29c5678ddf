"""What the doctor says about the room for Denies."""

import pytest

from countersign.ops.doctor import _rooms
from tests.worlds.samples import NOW
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit
from workers.stores.rooms import RoomSeen, RoomsSeen


@pytest.mark.parametrize(
    ("denies", "needed", "verdict"),
    [(44, 59, "ok"), (45, 45, "warn"), (3, 60, "warn")],
    ids=["room", "denies", "live"],
)
async def test_little_room_is_a_warning_with_what_to_do(denies: int, needed: int, verdict: str):
    store = memory_store(lambda: NOW)
    assert await _rooms(store) == []
    arn = "arn:aws:iam::123456789012:role/countersign-base"
    rooms = {
        f"{arn}-a": RoomSeen(role="a", denies=denies, needed=needed, seen_at=NOW),
        f"{arn}-b": RoomSeen(role="b", denies=0, needed=1, seen_at=NOW),
    }
    text = RoomsSeen(roles=rooms).model_dump_json()
    await store.records.commit(Commit(at=NOW, **layout.put(layout.ROOMS, 0, text)))
    [found] = await _rooms(store)
    assert (found.verdict, found.what) == (verdict, "denies")
    assert f"{denies} of 59" in found.words
    assert ("more_arns" in found.remedy) is (verdict == "warn")
