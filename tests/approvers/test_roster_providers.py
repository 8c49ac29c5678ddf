"""Providers of executables in the roster: what they promise, what their roles hold, every mistake with a remedy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvers.faults import ConfigError
from approvers.policy import findings, parse_policy
from approvers.policy_checks import together_faults
from approvers.roster import parse_roster
from approvers.roster_diff import roster_changes
from tests.approvers.rules_world import POLICY, ROSTER, edited
from workers.data.levels import load_levels

PROVIDER = """
[provider.orders-db]
environment = "prod"
ends_itself = false
ends_early = true
max_ttl = "8h"
[role.orders-reader]
provider = "orders-db"
ceiling = ["db:select"]
resources = ["orders/public.*"]
"""
BOTH = ROSTER + PROVIDER


def test_a_provider_and_its_role_are_read():
    roster = parse_roster(BOTH)
    provider, role = roster.providers["orders-db"], roster.roles["orders-reader"]
    assert (provider.min_ttl, provider.max_ttl, provider.lag) == (
        timedelta(minutes=1), timedelta(hours=8), timedelta(seconds=5)
    )  # fmt: skip
    assert (role.by_command, role.target, roster.home_of(role)) == (
        True, "command:orders-db/orders-reader", "orders-db"
    )  # fmt: skip
    assert roster.account_of(role) is None
    assert roster.environments["orders-db"] == "prod"
    assert not roster.roles["analytics"].by_command


BROKEN = [
    # what is changed, into what, the place, part of the detail or remedy
    ('provider = "orders-db"\n', 'provider = "orders-bd"\n', "role.orders-reader.provider", "did you mean 'orders-db'"),
    ('provider = "orders-db"\n', 'provider = "dry_run"\n', "role.orders-reader.provider", "asked for, not configured"),
    ('provider = "orders-db"\n', "", "role.orders-reader.account", "is missing"),
    ('provider = "orders-db"\n', "", "role.orders-reader.arn", "is missing"),
    ('provider = "orders-db"\n', "", "role.orders-reader.resources[0]", "is not an ARN's pattern"),
    ('provider = "orders-db"\n', 'provider = "orders-db"\naccount = "shop-prod"\n', "role.orders-reader.account",
     "provider 'orders-db' has none"),
    ('provider = "orders-db"\n', 'provider = "orders-db"\narn = "arn:aws:iam::111122223333:role/x"\n',
     "role.orders-reader.arn", "provider 'orders-db' has none"),
    ('resources = ["orders/public.*"]\n', "", "role.orders-reader.resources", "nothing else bounds"),
    ('"orders/public.*"', '"orders/$(id)"', "role.orders-reader.resources[0]", "not a pattern of names"),
    ('"orders/public.*"', '"orders/x;drop"', "role.orders-reader.resources[0]", "not a pattern of names"),
    ('"db:select"', '"select"', "role.orders-reader.ceiling[0]", "write it like"),
    ('ends_early = true', 'ends_early = false', "provider.orders-db", "nothing would end a credential"),
    ('ends_early = true\n', '', "provider.orders-db.ends_early", "is missing"),
    ('max_ttl = "8h"', 'max_ttl = "13h"', "provider.orders-db.max_ttl", "write 1s to 12h"),
    ('max_ttl = "8h"', 'max_ttl = "30s"', "provider.orders-db.max_ttl", "write 1s to 12h"),
    ('max_ttl = "8h"', 'command = "/bin/sh"', "provider.orders-db.command", "there is no such key"),
    ('max_ttl = "8h"', 'levels = { "db:select" = "Reed" }', "provider.orders-db.levels.db:select", "one of: List"),
    ('max_ttl = "8h"', 'levels = { "db:*" = "Read" }', "provider.orders-db.levels.db:*", "is not an action"),
    ("[provider.orders-db]", "[provider.aws]", "provider.aws", "built in"),
    ("[provider.orders-db]", "[provider.shop-prod]", "provider.shop-prod", "the same name"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "says"), BROKEN, ids=[f"{n}-{one[2]}" for n, one in enumerate(BROKEN)])
def test_a_mistake_is_named_with_its_remedy(old, new, place, says):
    with pytest.raises(ConfigError) as caught:
        parse_roster(ROSTER + edited(PROVIDER, old, new))
    found = [str(fault) for fault in caught.value.faults if fault.place == place]
    assert any(says in one for one in found), caught.value.detail


def test_rules_may_name_a_provider_where_they_name_an_account_and_its_environment_has_to_be_one():
    roster = parse_roster(BOTH)
    policy = parse_policy(POLICY)
    assert list(together_faults(policy, roster)) == []
    strange = parse_roster(edited(BOTH, 'environment = "prod"\nends_itself', 'environment = "live"\nends_itself'))
    assert [fault.place for fault in together_faults(policy, strange)] == ["provider.orders-db.environment"]


def test_what_a_provider_promises_otherwise_is_told_as_a_change():
    was, now = parse_roster(BOTH), parse_roster(edited(BOTH, 'max_ttl = "8h"', 'max_ttl = "9h"'))
    assert [str(change.what) for change in roster_changes(was, now)] == ["provider orders-db"]


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("db:select", None),
        ("db:*", None),
        ("db:insert", None),
        ("db:selct", "db:select"),
        ("s3:GetObjct", "s3:GetObject"),
    ],
)
def test_a_rule_may_name_what_a_provider_declares_or_its_roles_hold(action: str, told: str | None):
    levels = PROVIDER.replace("ends_early = true", 'ends_early = true\nlevels = { "db:insert" = "Write" }')
    rule = f"""
[rule.review-orders]
effect = "review"
quorum = "one"
owner  = "sre"
note   = "Orders are read with a second signature."
when   = {{ action = ["{action}"] }}
"""
    found = findings(parse_policy(POLICY + rule), parse_roster(ROSTER + levels), actions=load_levels())
    faults = [one for one in found if one.place.startswith("rule.review-orders.when.action")]
    assert [told in str(one) for one in faults] == ([] if told is None else [True])
