"""What executables will mint is planned like any other credential: bounded by its role, said whole before approval."""

from __future__ import annotations

from typing import Any

import pytest

from approvers import grant as grants
from approvers.action import Access
from approvers.card import render
from approvers.errors import Inadmissible
from approvers.grant import ProofKind
from approvers.proving import proof_wanted, prove_at, revoke_wanted
from approvers.reruling import gone
from approvers.roster import Roster, parse_roster
from tests.approvers.rules_world import edited
from tests.approvers.test_roster_providers import PROVIDER
from tests.worlds import samples
from workers.data.levels import load_levels
from workers.providers.plans import check_size, plan

ACCESS: dict[str, Any] = {
    "provider": "orders-db",
    "role": "orders-reader",
    "actions": ["db:select"],
    "resources": ["orders/public.customers"],
}
CLOCKED = edited(PROVIDER, "ends_itself = false", "ends_itself = true")
LASTING = edited(CLOCKED, "ends_early = true", "ends_early = false")


def roster(provider: str = PROVIDER) -> Roster:
    return parse_roster(samples.AWS_ALONE + provider)


def planned(ttl_seconds: int = 900, text: str = PROVIDER, **changes: Any):
    asked = samples.action(action="db:select", resource="orders/public.customers", access={**ACCESS, **changes})
    return plan(asked, roster(text), ttl_seconds, load_levels())


def test_a_plan_names_the_provider_and_what_it_can_do():
    made = planned()
    assert (made.provider, made.account, made.account_id, made.role_arn, made.environment) == (
        "orders-db", "orders-db", "", "command:orders-db/orders-reader", "prod"
    )  # fmt: skip
    assert (made.ends_early, made.ends_itself, made.by_command) == (True, False, True)
    assert planned(text=LASTING).ends_early is False


REFUSED = [
    ({"provider": "aws"}, "access.provider", "plan.other_provider"),
    ({"provider": "dry_run"}, "access.provider", "plan.other_provider"),
    ({"actions": ["db:delete"]}, "access.actions[0]", "role.orders-reader.ceiling"),
    ({"actions": ["db:sel_ect"]}, "access.actions[0]", "plan.action_form"),
    ({"actions": ["db:select", "DB:Select"]}, "access.actions[1]", "plan.duplicate"),
    ({"resources": ["billing/public.cards"]}, "access.resources[0]", "plan.resource_ceiling"),
    ({"resources": ["orders/public.a;drop"]}, "access.resources[0]", "plan.resource_form"),
    ({"resources": ["orders/public.$(id)"]}, "access.resources[0]", "plan.resource_form"),
    ({"resources": ["orders/public.*.x"]}, "access.resources[0]", "plan.resource_wildcard"),
    ({"resources": ["orders/public." + "x" * 600]}, "access.resources[0]", "plan.resource_form"),
    ({"ttl_seconds": 30}, "ttl_seconds", "provider.ttl"),
    ({"ttl_seconds": 28_801}, "ttl_seconds", "provider.ttl"),
]


@pytest.mark.parametrize(("changes", "field", "rule"), REFUSED, ids=[f"{n}-{one[2]}" for n, one in enumerate(REFUSED)])
def test_what_does_not_fit_is_refused_with_its_field(changes, field, rule):
    with pytest.raises(Inadmissible) as refused:
        planned(**changes)
    assert (refused.value.field, refused.value.rule) == (field, rule)


def test_an_aws_role_takes_no_other_provider():
    asked = samples.action(access={**samples.BODY["access"], "provider": "orders-db"})
    with pytest.raises(Inadmissible, match="write 'aws'") as refused:
        plan(asked, roster(), 900, load_levels())
    assert refused.value.field == "access.provider"


def test_the_access_that_is_bound_says_the_provider_and_asks_without_one_bind_what_they_always_did():
    assert Access.model_validate({**ACCESS, "provider": "aws"}) == Access.model_validate(
        {name: value for name, value in ACCESS.items() if name != "provider"}
    )


def test_no_session_policy_bounds_the_size():
    check_size(planned(resources=[f"orders/public.{'t' * 200}{n}" for n in range(20)]))


def of_provider(state: str, provider: str = PROVIDER):
    """A grant of the sample's, on another plan."""
    return samples.grant(state).model_copy(update={"plan": planned(text=provider)})


@pytest.mark.parametrize(
    ("provider", "event", "kind", "revokes", "waits"),
    [
        (PROVIDER, "revoke", ProofKind.PROBE_DENIED, True, False),
        (PROVIDER, "ttl_elapsed", ProofKind.TTL_DENIED, True, False),
        (LASTING, "revoke", ProofKind.TTL_DENIED, False, True),
        (LASTING, "release", ProofKind.TTL_DENIED, False, True),
        (LASTING, "ttl_elapsed", ProofKind.TTL_DENIED, False, True),
        (CLOCKED, "ttl_elapsed", ProofKind.TTL_DENIED, False, False),
    ],
)
def test_how_a_grant_ends_follows_what_was_promised(provider, event, kind, revokes, waits):
    live = of_provider("ACTIVE", provider)
    ending = grants.end(live, event, samples.NOW, by="user:kim", reason="enough")
    assert (proof_wanted(ending), revoke_wanted(ending)) == (kind, revokes)
    assert prove_at(ending, samples.NOW) == (live.ends_at if waits else samples.NOW)
    told = ending.trouble or ""
    assert ("cannot be ended early, and lives until 10:15:00 UTC" in told) == (waits and event != "ttl_elapsed")


def test_of_an_unknown_mint_that_cannot_be_ended_early_the_longest_life_is_waited_for():
    lost = grants.end(of_provider("MINTING", LASTING), "outcome_unknown", samples.NOW, by="worker", reason="lost")
    assert lost.ends_at is None
    assert prove_at(lost, samples.NOW) == lost.may_live_until


def card_of(provider: str, state: str | None = None):
    request = samples.request().model_copy(update={"plan": planned(text=provider)})
    return render(request, of_provider(state, provider) if state else None)


def test_a_card_says_before_the_approval_what_cannot_be_ended_early_and_who_ends_it():
    facts = {fact.label: fact.text for fact in card_of(PROVIDER).facts}
    assert facts["System"] == "orders-db (prod)"
    assert facts["For"] == "15 min; then ended by Countersign, not by the provider's own clock"
    assert not [text for text in card_of(PROVIDER).warnings if "early" in text]
    assert "It cannot be ended early: once approved, it lives until its time is over." in card_of(LASTING).warnings
    assert {fact.label: fact.text for fact in card_of(LASTING).facts}["For"] == "15 min"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text, None),
        (lambda text: edited(text, "ends_itself = false", "ends_itself = true"), "in another way now"),
        (lambda text: edited(text, 'max_ttl = "8h"', 'max_ttl = "10m"'), "grants no 900 s any more"),
        (lambda text: edited(text, "db:select", "db:insert"), "does not hold db:select"),
        (lambda text: edited(text, "[role.orders-reader]", "[role.orders-writer]"), "is not in countersign.toml"),
        (lambda text: text.replace("orders-db", "other-db"), "leads elsewhere now: to command:other-db/orders-reader"),
    ],
    ids=["same", "ends", "ttl", "ceiling", "role", "provider"],
)
def test_what_was_approved_is_not_minted_once_the_roster_says_otherwise(change, says):
    request = samples.request().model_copy(update={"plan": planned()})
    why = gone(request, roster(change(PROVIDER)))
    assert why is None if says is None else says in why
