"""Who clicked is told by tenant and object id, asked of Teams, and whoever is not clearly one person here is nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from approvers.audit import By
from bot.kept import KEPT_SECONDS
from bot.surfaces.port import Refused, SurfaceError, Unreachable
from bot.surfaces.teams_api import Posted
from bot.surfaces.teams_incoming import Account
from bot.surfaces.teams_people import People, Stranger
from bot.surfaces.teams_routes import Route
from tests.worlds import samples
from workers.policies import Policies, apply
from workers.stores.memory import memory_store
from workers.stores.port import Store

TENANT, ELSEWHERE = "11111111-aaaa-4aaa-8aaa-111111111111", "99999999-aaaa-4aaa-8aaa-999999999999"
PARTNER = "55555555-aaaa-4aaa-8aaa-555555555555"
DANA, ROBIN = "00000000-0000-4000-8000-0000000000a1", "00000000-0000-4000-8000-0000000000b2"
CHANNEL = "19:c1@thread.tacv2"
ROUTE = Route(service_url="https://smba.example", tenant_id=TENANT, bot_id="28:app", kind="channel",
              conversation_id=CHANNEL, channel_id=CHANNEL)  # fmt: skip


@dataclass
class Book:
    """Be Teams' list of members, and nothing else of it."""

    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    fault: SurfaceError | None = None
    asked: int = 0

    async def member(self, route: Route, conversation: str, user_id: str) -> dict[str, Any]:
        self.asked += 1
        assert (route, conversation) == (ROUTE, CHANNEL)
        if self.fault:
            raise self.fault
        if user_id not in self.entries:
            raise Refused("404 MemberNotFoundInConversation")
        return self.entries[user_id]

    async def post(self, route: Route, activity: Mapping[str, Any], *, thread: str | None = None) -> Posted:
        raise AssertionError("nobody is written to")

    async def update(self, route: Route, conversation: str, message: str, activity: Mapping[str, Any]) -> None:
        raise AssertionError("nothing is changed")


@dataclass
class Town:
    """A list of members, and our People looking at it."""

    book: Book
    people: People
    store: Store
    policies: Policies
    seconds: float = 0.0

    async def rules(self, accounts: dict[str, str]) -> None:
        text = samples.ROSTER_TEXT
        for name, account in accounts.items():
            text = text.replace(f"[person.{name}]", f'[person.{name}]\nteams = "{account}"')
        await apply(self.store.records, policy=samples.POLICY_TEXT, roster=text, by="user:kim", why="test")
        await self.policies.refresh()

    async def code(self, account: Account) -> str:
        """Return why this account is nobody."""
        with pytest.raises(Stranger) as stranger:
            await self.people.identify(account, CHANNEL, ROUTE)
        return stranger.value.code


def member(object_id: str = DANA, user_id: str = "29:dana", **changes: Any) -> dict[str, Any]:
    shown = {"id": user_id, "aadObjectId": object_id, "tenantId": TENANT, "userRole": "user", "name": "who cares"}
    return {**shown, "userPrincipalName": "dana@example.com", **changes}


DANAS = Account(TENANT, DANA, "29:dana", "Robin")


@pytest.fixture
async def town() -> Town:
    store = memory_store()
    policies, book = Policies(store.records, store.signals), Book({"29:dana": member()})
    people = People(book, policies, [TENANT.upper(), PARTNER], clock=lambda: running.seconds)
    running = Town(book, people, store, policies)
    await running.rules({"dana": f"{TENANT}:{DANA}"})
    return running


async def test_tenant_and_object_id_name_a_person_and_the_name_does_not(town: Town) -> None:
    who = await town.people.identify(DANAS, CHANNEL, ROUTE)
    assert (who.principal, who.via, dict(who.proof)) == ("user:dana", "teams", {})
    assert who.by == By("user:dana", "teams", f"{TENANT}/{DANA}")
    assert who.scopes == {"review", "read", "request"}


async def test_ids_are_the_same_in_upper_and_lower_case(town: Town) -> None:
    town.book.entries["29:dana"] = member(DANA.upper(), tenantId=TENANT.upper())
    shouted = replace(DANAS, tenant=TENANT.upper(), object_id=DANA.upper())
    assert (await town.people.identify(shouted, CHANNEL, ROUTE)).principal == "user:dana"


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        pytest.param("guest", {"object_id": None}, id="anonymous"),
        pytest.param("external", {"tenant": ELSEWHERE}, id="foreign-tenant"),
        pytest.param("external", {"tenant": None}, id="no-or-two-tenants"),
        pytest.param("unknown_person", {"tenant": PARTNER}, id="same-object-id-in-a-tenant-that-is-listed"),
        pytest.param("bot", {"role": "bot"}, id="bot"),
        pytest.param("bot", {"role": "skill"}, id="skill"),
        pytest.param("bot", {"user_id": "28:other-app"}, id="app"),
        pytest.param("deactivated", {"user_id": "29:nobody"}, id="no-member"),
        pytest.param("not_checked", {"object_id": ROBIN}, id="another-object-id-than-teams-says"),
    ],
)
async def test_what_the_activity_says_must_hold(town: Town, code: str, changes: dict[str, Any]) -> None:
    if changes.get("tenant") == PARTNER:
        town.book.entries["29:dana"] = member(tenantId=PARTNER)
    assert await town.code(replace(DANAS, **changes)) == code


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        pytest.param("guest", {"userRole": "guest"}, id="guest"),
        pytest.param("guest", {"userRole": "anonymous"}, id="anonymous"),
        pytest.param("guest", {"userPrincipalName": "dana_x.org#ext#@example.com"}, id="invited"),
        pytest.param("not_checked", {"userRole": None}, id="no-role"),
        pytest.param("external", {"tenantId": ELSEWHERE}, id="shared-channel"),
        pytest.param("not_checked", {"id": "29:robin"}, id="somebody-else"),
        pytest.param("not_checked", {"aadObjectId": None}, id="no-object-id"),
    ],
)
async def test_what_teams_says_must_hold(town: Town, code: str, changes: dict[str, Any]) -> None:
    town.book.entries["29:dana"] = member(**changes)
    assert await town.code(DANAS) == code


async def test_a_tenant_that_is_not_listed_is_not_let_in_by_the_roster(town: Town) -> None:
    await town.rules({"dana": f"{ELSEWHERE}:{DANA}"})
    town.book.entries["29:dana"] = member(tenantId=ELSEWHERE)
    assert await town.code(replace(DANAS, tenant=ELSEWHERE)) == "external"
    assert town.book.asked == 0


async def test_a_member_without_a_tenant_is_taken_for_the_activitys(town: Town) -> None:
    town.book.entries["29:dana"] = member(tenantId=None)
    assert (await town.people.identify(DANAS, CHANNEL, ROUTE)).principal == "user:dana"


async def test_a_stranger_reads_what_is_missing_and_where(town: Town) -> None:
    town.book.entries["29:robin"] = member(ROBIN, "29:robin")
    with pytest.raises(Stranger, match=f'teams = "{TENANT}:{ROBIN}"'):
        await town.people.identify(Account(TENANT, ROBIN, "29:robin", "Dana"), CHANNEL, ROUTE)


async def test_teams_that_does_not_answer_is_a_refusal_and_is_not_kept(town: Town) -> None:
    town.book.fault = Unreachable("down")
    assert await town.code(DANAS) == "not_checked"
    town.book.fault = None
    assert (await town.people.identify(DANAS, CHANNEL, ROUTE)).principal == "user:dana"


async def test_what_teams_says_is_asked_again_after_a_minute_or_a_change(town: Town) -> None:
    for _ in range(3):
        await town.people.identify(DANAS, CHANNEL, ROUTE)
    assert town.book.asked == 1
    town.book.entries["29:dana"] = member(userRole="guest")
    town.seconds = KEPT_SECONDS - 0.1
    await town.people.identify(DANAS, CHANNEL, ROUTE)
    town.seconds = KEPT_SECONDS
    assert await town.code(DANAS) == "guest"
    del town.book.entries["29:dana"]
    town.people.forget()
    assert await town.code(DANAS) == "deactivated"


async def test_the_list_of_people_is_never_kept(town: Town) -> None:
    await town.people.identify(DANAS, CHANNEL, ROUTE)
    await town.rules({"robin": f"{TENANT}:{DANA}"})
    assert (await town.people.identify(DANAS, CHANNEL, ROUTE)).principal == "user:robin"
    await town.rules({})
    assert await town.code(DANAS) == "unknown_person"


async def test_a_mention_means_whom_teams_says_behind_its_id(town: Town) -> None:
    found = await town.people.named("29:dana", CHANNEL, ROUTE)
    assert found is not None
    assert found.name == "dana"
    assert await town.people.named("29:nobody", CHANNEL, ROUTE) is None
    town.book.entries["29:robin"] = member(ROBIN, "29:robin")
    assert await town.people.named("29:robin", CHANNEL, ROUTE) is None
