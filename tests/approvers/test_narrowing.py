"""A reviewer makes an ask smaller, only where every rule lets them, and never wider in any part."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import request as requests
from approvers.answer import agent_message, answer
from approvers.card import render, shown_digest
from approvers.errors import Forbidden, Malformed, Outdated
from approvers.grant import Plan
from approvers.narrowing import TTL_STEPS, Narrow, narrowed, offer, parts
from approvers.request import Request
from tests.worlds import samples
from tests.worlds.samples import NOW, approval

ALL = ("actions", "resources", "ttl")
EXPORTS = "arn:aws:s3:::customer-exports"
ACCESS = {
    "role": "analytics",
    "actions": ["s3:GetObject", "s3:PutObject"],
    "resources": [f"{EXPORTS}/2026/*", f"{EXPORTS}/list.csv"],
}


def asked(narrow: tuple[str, ...] = ALL, **changes: Any) -> Request:
    request = samples.request(**{"access": ACCESS, "ttl_seconds": 1800, "seats": {"sre": 2}, **changes})
    return request.model_copy(update={"ruling": request.ruling.model_copy(update={"narrow": narrow})})


def smaller(request: Request, by: str = "user:robin", **wish: Any) -> Request:
    return narrowed(request, Narrow(**wish), by, NOW)


def plan_of(request: Request) -> Plan:
    assert request.plan is not None
    return request.plan


def test_each_part_is_made_smaller_and_the_first_plan_is_kept():
    before = asked()
    after = smaller(before, ttl_seconds=900, actions=("s3:GetObject",), resources=(f"{EXPORTS}/2026/07/*",))
    assert parts(plan_of(after)) == {
        "ttl_seconds": 900,
        "actions": ["s3:GetObject"],
        "resources": [f"{EXPORTS}/2026/07/*"],
    }
    assert after.narrowed is not None
    assert (after.narrowed.before, after.narrowed.by, after.narrowed.at) == (before.plan, "user:robin", NOW)
    assert (after.action, after.action_digest, after.facts) == (before.action, before.action_digest, before.facts)
    assert requests.open_grant(after, NOW).plan == after.plan


def test_who_narrows_again_goes_on_from_there_and_what_was_asked_stays():
    first = smaller(asked(), ttl_seconds=900)
    second = smaller(first, by="user:alex", actions=("s3:GetObject",))
    assert second.narrowed is not None
    assert (second.narrowed.before, second.narrowed.by) == (asked().plan, "user:alex")
    assert second.narrowed.also == ("user:robin",)
    third = smaller(second, by="user:kim", ttl_seconds=60)
    cards = {"robin": first, "robin and alex": second, "robin, alex and kim": third}
    for people, request in cards.items():
        assert render(request, None).facts[0].label == f"Narrowed by {people}"
    assert parts(plan_of(second))["ttl_seconds"] == 900
    with pytest.raises(Malformed, match="not shorter"):
        smaller(first, ttl_seconds=1800)


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"ttl_seconds": 1800},
        {"actions": ("s3:PUTOBJECT", "s3:getobject")},
        {"resources": (ACCESS["resources"][1], ACCESS["resources"][0])},
        {"ttl_seconds": 1800, "actions": tuple(ACCESS["actions"]), "resources": tuple(ACCESS["resources"])},
    ],
    ids=["nothing", "ttl", "other_letters", "other_order", "all_of_it"],
)
@pytest.mark.parametrize("narrow", [ALL, ()], ids=["allowed", "not_allowed"])
def test_a_wish_that_changes_nothing_is_no_narrowing(wish: dict[str, Any], narrow: tuple[str, ...]):
    before = asked(narrow)
    assert smaller(before, **wish) is before


WISHES: dict[str, dict[str, Any]] = {
    "ttl": {"ttl_seconds": 60},
    "actions": {"actions": ("s3:GetObject",)},
    "resources": {"resources": (f"{EXPORTS}/2026/a",)},
}


@pytest.mark.parametrize("part", ALL)
def test_only_what_every_rule_allows_is_narrowed(part: str):
    assert smaller(asked((part,)), **WISHES[part]).narrowed is not None
    others = tuple(one for one in ALL if one != part)
    with pytest.raises(Forbidden, match="review-exports, review-pii, review-writes together allow only") as refusal:
        smaller(asked(others), **WISHES[part])
    field = "ttl_seconds" if part == "ttl" else part
    assert (refusal.value.code, refusal.value.field) == ("may_not_narrow", f"narrow.{field}")
    with pytest.raises(Forbidden, match="allow nothing"):
        smaller(asked(()), **WISHES[part])


def test_an_ask_without_access_cannot_be_narrowed():
    with pytest.raises(Forbidden, match="no credential") as refusal:
        smaller(asked(access=None), ttl_seconds=60)
    assert (refusal.value.code, refusal.value.field) == ("may_not_narrow", "narrow")


@pytest.mark.parametrize(
    ("wish", "field", "remedy"),
    [
        ({"ttl_seconds": 1801}, "narrow.ttl_seconds", "give 1 to 1800"),
        ({"ttl_seconds": 0}, "narrow.ttl_seconds", "give 1 to 1800"),
        ({"ttl_seconds": -5}, "narrow.ttl_seconds", "give 1 to 1800"),
        ({"actions": ()}, "narrow.actions", "keep at least one"),
        ({"actions": ("s3:GetObject", "s3:DeleteObject")}, "narrow.actions[1]", "keep some of: s3:GetObject, s3:Put"),
        ({"actions": ("s3:*",)}, "narrow.actions[0]", "keep some of"),
        ({"actions": ("s3:Get?bject",)}, "narrow.actions[0]", "keep some of"),
        ({"resources": ()}, "narrow.resources", "keep at least one"),
        ({"resources": (f"{EXPORTS}/2026/a", f"{EXPORTS}/*")}, "narrow.resources[1]", "write ARNs inside"),
        ({"resources": (f"{EXPORTS}/list*",)}, "narrow.resources[0]", "write ARNs inside"),
        ({"resources": ("*",)}, "narrow.resources[0]", "write ARNs inside"),
        ({"resources": (f"{EXPORTS}/2026/?",)}, "narrow.resources[0]", "plain ASCII"),
        ({"resources": (f"{EXPORTS}/2026/${{aws:username}}",)}, "narrow.resources[0]", "plain ASCII"),
        ({"resources": (f"{EXPORTS}/2026/\u0430",)}, "narrow.resources[0]", "plain ASCII"),
        ({"resources": (f"{EXPORTS}/2026/a b",)}, "narrow.resources[0]", "plain ASCII"),
        ({"resources": (f"{EXPORTS}/2026/" + "a" * 2048,)}, "narrow.resources[0]", "too many"),
        ({"resources": (f"{EXPORTS}/2026/a",) * 2}, "narrow.resources[1]", "leave the second one out"),
        ({"resources": tuple(f"{EXPORTS}/2026/{n}" for n in range(21))}, "narrow.resources", "name fewer"),
    ],
    ids=["longer", "none", "less_than_none", "no_action", "another_action", "wild_action", "wild_letter", "no_resource",
         "wider", "beside", "everything", "question_mark", "variable", "look_alike", "space", "long", "twice",
         "many"],
)  # fmt: skip
def test_what_is_not_smaller_is_refused_with_field_and_remedy(wish: dict[str, Any], field: str, remedy: str):
    with pytest.raises(Malformed) as refusal:
        smaller(asked(), **wish)
    assert refusal.value.field == field
    assert remedy in refusal.value.detail


# ---- never wider: for any plan and any wish

LETTERS = st.sampled_from(["a", "b", "/", "*", "**", "?", "1"])
TAIL = st.lists(LETTERS, max_size=6).map("".join)
PLANNED = st.lists(TAIL.map(lambda tail: tail.replace("?", "")), min_size=1, max_size=3, unique=True)
NAMES = ("s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject")
WISH = st.builds(
    Narrow,
    ttl_seconds=st.none() | st.integers(-1, 4000),
    actions=st.none() | st.lists(st.sampled_from([*NAMES, "s3:getobject", "s3:*"]), max_size=4).map(tuple),
    resources=st.none() | st.lists(TAIL.map(lambda tail: f"{EXPORTS}/{tail}"), max_size=3).map(tuple),
)
PLAN = st.builds(
    lambda ttl, actions, tails: asked(
        ttl_seconds=900, access={**ACCESS, "actions": list(NAMES[:2]), "resources": [f"{EXPORTS}/x"]}
    ).model_copy(
        update={
            "plan": plan_of(asked()).model_copy(
                update={
                    "ttl_seconds": ttl,
                    "actions": tuple(actions),
                    "resources": tuple(f"{EXPORTS}/{tail}" for tail in tails),
                }
            )
        }
    ),
    st.integers(1, 3600),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True),
    PLANNED,
)
CONCRETE = st.lists(st.sampled_from(["a", "b", "/", "1", "c"]), max_size=7).map("".join)


def as_aws_reads(pattern: str) -> re.Pattern[str]:
    """Return what IAM takes a resource for: `*` any characters, `?` any one."""
    shape = {"*": ".*", "?": "."}
    return re.compile("".join(shape.get(char, re.escape(char)) for char in pattern), re.DOTALL)


def admits(plan: Plan, action: str, arn: str) -> bool:
    """Tell whether a credential of this plan can do this."""
    named = action.lower() in {name.lower() for name in plan.actions}
    return named and any(as_aws_reads(one).fullmatch(arn) for one in plan.resources)


def tried(request: Request, wish: Narrow) -> Request:
    """Return the request after the wish; one that is refused changes nothing."""
    try:
        return narrowed(request, wish, "user:robin", NOW)
    except Malformed:
        return request


@given(PLAN, WISH, st.lists(CONCRETE, min_size=1, max_size=8))
def test_nothing_is_admitted_afterwards_that_was_not_before(before: Request, wish: Narrow, tails: list[str]):
    after = tried(before, wish)
    # Names that the narrower plan surely holds: each of its patterns with its wildcards filled in.
    own = [one.replace("*", filler).replace("?", "c") for one in plan_of(after).resources for filler in ("", "c", "a/")]
    for arn in (*own, *(f"{EXPORTS}/{tail}" for tail in tails)):
        for action in NAMES:
            if admits(plan_of(after), action, arn):
                assert admits(plan_of(before), action, arn), (plan_of(before), plan_of(after), arn)
    assert 1 <= plan_of(after).ttl_seconds <= plan_of(before).ttl_seconds
    assert plan_of(after).actions
    assert plan_of(after).resources


@given(PLAN, WISH, WISH, st.lists(CONCRETE, min_size=1, max_size=5))
def test_whoever_narrows_first_nothing_is_admitted_that_either_plan_refuses(
    before: Request, one: Narrow, two: Narrow, tails: list[str]
):
    for first, second in ((one, two), (two, one)):
        middle = tried(before, first)
        last = tried(middle, second)
        for tail in tails:
            arn = f"{EXPORTS}/{tail}"
            for action in NAMES:
                if admits(plan_of(last), action, arn):
                    assert admits(plan_of(middle), action, arn)
                    assert admits(plan_of(before), action, arn)
        assert last.narrowed is None or last.narrowed.before == before.plan


# ---- what people and the agent are told, and what an approval binds


def test_the_card_says_what_will_be_minted_and_what_was_asked():
    after = smaller(asked(), ttl_seconds=900, actions=("s3:GetObject",))
    card = render(after, None)
    assert [(one.label, one.text) for one in card.facts[:2]] == [
        ("Narrowed by robin", "15 min instead of 30 min, without s3:PutObject"),
        ("Will be minted", "s3:GetObject"),
    ]
    assert card.headline == "agent:report-bot wants s3:GetObject"
    assert next(one.label for one in card.buttons) == "Approve for 15 min"
    gone = smaller(asked(), actions=("s3:PutObject",))
    assert any("allows not that, but s3:PutObject" in one for one in render(gone, None).warnings)


def test_an_approval_of_the_wider_card_is_outdated_and_one_given_before_stands():
    before = asked()
    shown = shown_digest(before)
    after = smaller(
        requests.review(before, approval("robin"), shown=shown, current=shown), actions=("s3:GetObject",)
    )  # fmt: skip
    assert after.state == "PENDING"
    with pytest.raises(Outdated):
        requests.review(after, approval("alex"), shown=shown, current=shown_digest(after))
    done = requests.review(after, approval("alex"), shown=shown_digest(after), current=shown_digest(after))
    assert (done.state, requests.open_grant(done, NOW).plan.actions) == ("APPROVED", ("s3:GetObject",))


def test_the_agent_reads_what_is_left_out():
    waiting = smaller(asked(seats={"sre": 1}), ttl_seconds=900, actions=("s3:GetObject",))
    done = requests.review(waiting, approval("robin"), shown=None, current="")
    said = "narrowed by a reviewer: 15 min instead of 30 min, without s3:PutObject"
    assert said in agent_message(done, None).replace("Narrowed", "narrowed")
    assert said in agent_message(done, samples.grant("ACTIVE"))
    assert "narrowed" not in agent_message(requests.review(asked(seats={"sre": 1}), approval("robin"), shown=None,
                                                           current=""), samples.grant("ACTIVE"))  # fmt: skip
    body = answer(done, None, 2)["narrowed"]
    assert (body["by"], body["asked"]["ttl_seconds"], body["granted"]["ttl_seconds"]) == ("user:robin", 1800, 900)


# ---- what a form offers


def test_a_form_offers_what_may_and_can_be_smaller():
    made = offer(asked())
    assert made is not None
    assert (made.ttls, made.actions) == ((60, 300, 900, 1800), tuple(ACCESS["actions"]))
    assert made.resources == tuple(ACCESS["resources"])
    assert offer(asked(("ttl",))).model_dump() == {"ttls": made.ttls, "actions": (), "resources": ()}
    assert made.ttls[:-1] == tuple(step for step in TTL_STEPS if step < 1800)


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: asked(()),
        lambda: asked(access=None),
        lambda: asked(("ttl",), ttl_seconds=60),
        lambda: asked(("actions",), access={**ACCESS, "actions": ["s3:GetObject"]}),
        lambda: requests.cancel(asked(), NOW, samples.CALLER),
    ],
    ids=["not_allowed", "no_access", "shortest", "one_action", "closed"],
)
def test_a_form_offers_nothing_where_there_is_nothing(request_of: Callable[[], Request]):
    assert offer(request_of()) is None


def test_what_is_offered_is_taken():
    request = asked()
    made = offer(request)
    assert made is not None
    for seconds in made.ttls[:-1]:
        assert plan_of(smaller(request, ttl_seconds=seconds)).ttl_seconds == seconds
    for name in made.actions:
        assert plan_of(smaller(request, actions=(name,))).actions == (name,)
