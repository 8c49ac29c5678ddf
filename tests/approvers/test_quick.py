"""What is made without validation is what validation would have made: same values, same order, every field given."""

from pydantic import BaseModel

from approvers.audit import By
from approvers.quick import made
from approvers.risk import Point
from bot.deps import make_desk
from bot.directory import Directory
from bot.identity import Identity
from bot.reading import Reader
from tests.worlds import samples
from tests.worlds.samples import NOW
from workers.policies import Policies, apply
from workers.stores.memory import memory_store


def models(value: object) -> list[BaseModel]:
    """Return the model and every model inside it."""
    if isinstance(value, BaseModel):
        return [value, *(one for part in value.__dict__.values() for one in models(part))]
    if isinstance(value, tuple):
        return [one for part in value for one in models(part)]
    return []


async def test_a_request_as_the_desk_makes_it_is_as_valid_as_one_read_back():
    store = memory_store(lambda: NOW)
    await apply(store.records, policy=samples.POLICY_TEXT, roster=samples.ROSTER_TEXT, by="user:kim", why="test")
    policies = Policies(store.records, store.signals)
    await policies.refresh()
    desk = make_desk(store, policies, Reader(store), Directory(policies))
    who = Identity(samples.CALLER, frozenset({"request"}), By(samples.CALLER, "api-key", "k"), "api")
    for number, changes in enumerate(({}, {"reason": ""}, {"access": None, "action": "deploy:Service"})):
        request = (await desk.submit(who, samples.action(**changes), f"k{number}")).request
        found = models(request)
        assert len(found) > 5
        for one in found:
            assert list(one.__dict__) == list(type(one).model_fields), type(one)
            assert type(one).model_validate_json(one.model_dump_json()) == one
            assert type(one).model_validate(dict(one.__dict__)) == one


def test_it_is_a_model_like_any_other():
    one = made(Point, id="a", points=3, why="because")
    assert one == Point(id="a", points=3, why="because")
    assert one.model_copy(update={"points": 4}).points == 4
    assert repr(one) == repr(Point(id="a", points=3, why="because"))
    assert hash(one) == hash(Point(id="a", points=3, why="because"))
