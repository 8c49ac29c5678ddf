"""Routes are learnt from what Teams sends, kept by conversation and person, and written only when they change."""

from __future__ import annotations

from typing import Any

import pytest

from approvers.errors import Malformed
from bot.surfaces.teams_incoming import Incoming, account_of, command_text, route_of, tenant_of
from bot.surfaces.teams_routes import KEPT_SECONDS, Route, Routes
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Records

TENANT, FOREIGN = "11111111-aaaa-4aaa-8aaa-111111111111", "99999999-aaaa-4aaa-8aaa-999999999999"
ROBIN = "00000000-0000-4000-8000-0000000000B2"
CHANNEL, OTHER = "19:c1@thread.tacv2", "19:c2@thread.tacv2"
SERVICE, BOT = "https://smba.trafficmanager.net/emea/", "28:app"


def activity(**changes: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "1",
        "serviceUrl": SERVICE,
        "channelId": "msteams",
        "from": {"id": "29:robin", "name": "Robin", "aadObjectId": ROBIN},
        "recipient": {"id": BOT, "name": "Re"},
        "conversation": {"id": f"{CHANNEL};messageid=7", "conversationType": "channel", "tenantId": TENANT},
        "channelData": {"tenant": {"id": TENANT}, "team": {"id": "19:general@thread.tacv2"}},
        **changes,
    }


def personal(**changes: Any) -> dict[str, Any]:
    place = {"id": "a:1robin", "conversationType": "personal", "tenantId": TENANT}
    return activity(conversation=place, channelData={"tenant": {"id": TENANT}}, **changes)


class Counting:
    """Count what reaches the records."""

    def __init__(self, records: Records) -> None:
        self._records, self.commits, self.reads = records, 0, 0

    async def commit(self, commit: Commit) -> None:
        self.commits += 1
        await self._records.commit(commit)

    async def read(self, *given: Any) -> Any:
        self.reads += 1
        return await self._records.read(*given)


def test_a_route_is_read_from_an_activity() -> None:
    assert route_of(activity()) == Route(
        service_url=SERVICE, tenant_id=TENANT, bot_id=BOT, kind="channel", conversation_id=CHANNEL,
        channel_id=CHANNEL, team_id="19:general@thread.tacv2",
    )  # fmt: skip
    chat = route_of(personal())
    assert (chat.kind, chat.conversation_id, chat.user_id, chat.object_id) == (
        "personal", "a:1robin", "29:robin", ROBIN.lower(),
    )  # fmt: skip
    named = activity()
    named["channelData"]["channel"] = {"id": OTHER}
    assert route_of(named).conversation_id == OTHER
    assert route_of(activity(conversation={"id": "19:g@thread.v2", "conversationType": "groupChat"})).kind == "chat"


@pytest.mark.parametrize("lacking", ["serviceUrl", "recipient", "conversation", "channelData"])
def test_an_activity_that_does_not_say_where_is_malformed(lacking: str) -> None:
    body = activity(**{lacking: None})
    if lacking == "channelData":
        del body["conversation"]["tenantId"]
    with pytest.raises(Malformed):
        route_of(body)


@pytest.mark.parametrize(
    ("data", "outer", "found"),
    [
        (TENANT.upper(), TENANT, TENANT),
        (TENANT, None, TENANT),
        (None, TENANT, TENANT),
        (None, None, None),
        (TENANT, FOREIGN, None),
        (["x"], TENANT, None),
        ("", TENANT, None),
    ],
)
def test_exactly_one_tenant_is_named(data: Any, outer: Any, found: str | None) -> None:
    place = {"id": "a:1", "tenantId": outer}
    assert tenant_of(activity(channelData={"tenant": {"id": data}}, conversation=place)) == found


def test_who_acts_is_of_their_own_tenant_in_a_shared_channel() -> None:
    body = activity()
    body["from"]["tenantId"] = FOREIGN.upper()
    assert account_of(body).tenant == FOREIGN
    assert account_of(activity()).tenant == TENANT
    assert account_of(activity()).object_id == ROBIN.lower()


def mention(text: str, of: str = BOT) -> dict[str, Any]:
    return {"type": "mention", "text": text, "mentioned": {"id": of, "name": "Re"}}


@pytest.mark.parametrize(
    ("text", "entities", "said"),
    [
        ("<at>Re</at> Revoke 1", [mention("<at>Re</at>")], "Revoke 1"),
        ("<at>Re</at>&nbsp;list\xa0 now\n", [mention("<at>Re</at>")], "list now"),
        ("<at>Re</at> freeze <at>Re</at>", [mention("<at>Re</at>")], "freeze <at>Re</at>"),
        ("<at>Dana</at> list", [mention("<at>Dana</at>", "29:dana")], "<at>Dana</at> list"),
        ("list", [mention("")], "list"),
        ("why &lt;b&gt;", [], "why <b>"),
        ("list", [None, 7, {"type": "mention"}, {"type": "clientInfo"}], "list"),
        ("x" * 5_000, [], "x" * 4_000),
    ],
)
def test_our_own_mention_alone_is_taken_out(text: str, entities: list[Any], said: str) -> None:
    assert command_text(activity(text=text, entities=entities)) == said


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"text": "list"}, "message"),
        ({"value": {"verb": "deny"}}, "submit"),
        ({"value": {"verb": "deny"}, "text": "list"}, "message"),
        ({"type": "invoke", "name": "adaptiveCard/action", "value": {"action": {"verb": "deny"}}}, "action"),
        ({"type": "invoke", "name": "task/fetch"}, None),
        ({"type": "typing"}, None),
        ({"type": "messageReaction"}, None),
        ({"type": "installationUpdate", "action": "add"}, "installed"),
        ({"type": "installationUpdate", "action": "add-upgrade"}, "installed"),
        ({"type": "installationUpdate", "action": "remove"}, "removed"),
        ({"type": "conversationUpdate", "membersAdded": [{"id": BOT}]}, "installed"),
        ({"type": "conversationUpdate", "membersRemoved": [{"id": "29:x"}, {"id": BOT}]}, "removed"),
        ({"type": "conversationUpdate", "membersRemoved": [{"id": "29:x"}]}, "members"),
        ({"type": "conversationUpdate", "channelData": {"tenant": {"id": TENANT}, "eventType": "channelDeleted"}},
         "removed"),
    ],
)  # fmt: skip
def test_each_activity_is_of_one_kind(changes: dict[str, Any], kind: str | None) -> None:
    call = Incoming.of(activity(**changes))
    assert (call.kind if call else None) == kind


@pytest.mark.parametrize(
    ("verb", "trigger", "automatic"),
    [("approve", "automatic", True), ("approve", "manual", False), ("approve", None, False), ("refresh", None, True)],
)
def test_what_a_client_does_by_itself_is_marked(verb: str, trigger: str | None, automatic: bool) -> None:
    value = {"action": {"type": "Action.Execute", "verb": verb, "data": {}}, "trigger": trigger}
    call = Incoming.of(activity(type="invoke", name="adaptiveCard/action", value=value))
    assert call
    assert (call.verb, call.automatic) == (verb, automatic)


@pytest.mark.parametrize("data", [{}, {"rid": "req_1", "shown": "ab"}, {"rid": 7}, {"rid": "req_" + "0" * 26}])
def test_a_button_that_is_not_ours_names_no_request(data: dict[str, Any]) -> None:
    call = Incoming.of(activity(value={"verb": "approve", **data}))
    assert call
    with pytest.raises(Malformed):
        call.target()


async def test_a_route_is_written_once_and_again_when_it_changes() -> None:
    seconds = [0.0]
    counting = Counting(memory_store().records)
    routes = Routes(counting, clock=lambda: seconds[0])  # type: ignore[arg-type]
    for _ in range(3):
        await routes.learn(route_of(personal()))
    assert (counting.commits, counting.reads) == (2, 2)  # by its conversation and by its person
    seconds[0] += KEPT_SECONDS  # somebody else may have dropped it since
    await routes.learn(route_of(personal()))
    assert (counting.commits, counting.reads) == (2, 4)
    moved = personal(serviceUrl="https://smba.trafficmanager.net/amer/")
    await routes.learn(route_of(moved))
    assert counting.commits == 4
    found = await routes.of_person(TENANT.upper(), ROBIN)
    assert found == route_of(moved) == await routes.of_channel("a:1robin")


async def test_a_dropped_route_is_gone_for_everybody_and_learnt_anew() -> None:
    records = memory_store().records
    here, elsewhere = Routes(records), Routes(records)
    route = route_of(activity())
    await here.learn(route)
    assert await elsewhere.of_channel(CHANNEL) == route
    await here.drop(route)
    assert await elsewhere.of_channel(CHANNEL) is None
    await here.learn(route)
    assert await elsewhere.of_channel(CHANNEL) == route


async def test_a_channel_never_heard_of_is_tried_by_the_tenants_route_and_a_chat_is_not() -> None:
    routes = Routes(memory_store().records, home=TENANT)
    assert await routes.of_channel(OTHER) is None
    await routes.learn(route_of(activity()))
    tried = await routes.of_channel(OTHER)
    assert tried
    assert (tried.conversation_id, tried.channel_id, tried.team_id) == (OTHER, OTHER, None)
    assert await routes.known(OTHER) is None
    assert await routes.of_channel("a:1somebody") is None
    assert await routes.of_person(TENANT, ROBIN) is None


async def test_the_route_of_another_tenant_opens_no_channel_of_ours() -> None:
    routes = Routes(memory_store().records, home=FOREIGN)
    await routes.learn(route_of(activity()))
    assert await routes.of_channel(OTHER) is None


async def test_somebody_who_acts_in_a_channel_can_be_written_to_and_their_own_chat_comes_first() -> None:
    routes = Routes(memory_store().records)
    await routes.meet(route_of(activity()), "29:robin", ROBIN.lower())
    met = await routes.of_person(TENANT, ROBIN)
    assert met
    assert (met.kind, met.user_id, met.conversation_id, met.channel_id) == ("personal", "29:robin", "", None)
    await routes.learn(route_of(personal()))
    await routes.meet(route_of(activity()), "29:robin", ROBIN.lower())
    assert await routes.of_person(TENANT, ROBIN) == route_of(personal())
