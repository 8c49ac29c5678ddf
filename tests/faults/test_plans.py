"""Plans are what the seed says: the same again, different from each other, half of them long, of every kind."""

from __future__ import annotations

import itertools
from dataclasses import replace

from tests.faults.plans import EARLY, HOLDING, KINDS, LIVES, LONG_TTL, Fault, plan_of, plans

SOME = list(itertools.islice(plans(7), 1000))


def test_a_seed_and_a_number_give_the_same_plan_again() -> None:
    assert [plan_of(7, plan.number) for plan in SOME] == SOME
    assert {plan.hash for plan in SOME}.isdisjoint(plan.hash for plan in itertools.islice(plans(8), 5))


def test_no_two_plans_are_alike_and_half_live_ten_minutes_or_more() -> None:
    assert len({plan.hash for plan in SOME}) == 1000
    assert 480 <= sum(plan.ttl_seconds >= LONG_TTL for plan in SOME) <= 520


def test_every_kind_of_fault_and_of_life_comes_up() -> None:
    assert {fault.kind for plan in SOME for fault in plan.faults} == set(KINDS)
    assert {plan.life for plan in SOME} == set(LIVES)


def test_a_plan_makes_sense() -> None:
    for plan in SOME:
        if plan.life == "revoked at the fault":
            assert any(fault.kind in HOLDING and fault.stage == "mint" for fault in plan.faults), plan
        if any(fault.stage == "gone" for fault in plan.faults):
            assert plan.life in EARLY, plan


def test_a_hash_names_what_the_plan_says_and_not_its_number() -> None:
    plan = SOME[0]
    other = Fault("kill", "mint", "worker→aws", "sts:AssumeRole", 1, "after")
    assert replace(plan, number=plan.number + 1).hash == plan.hash
    assert replace(plan, faults=(*plan.faults, other)).hash != plan.hash
