"""The grant's machine: every move, which proof fits which end, and that ends stay ends."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import grant as grants
from approvers.audit import canonical
from approvers.errors import IllegalTransition
from approvers.grant import COLLECT_MARGIN, GRANT_EVENTS, GRANT_TABLE, GrantState, ProofKind, backoff
from approvers.proving import proof_wanted, prove_at
from tests.worlds import samples
from tests.worlds.samples import NOW


def test_the_table_is_complete_and_names_who_may_cause_each_event():
    assert set(GRANT_TABLE) == set(GrantState)
    assert {event for moves in GRANT_TABLE.values() for event in moves} == set(GRANT_EVENTS)
    assert [state for state in GrantState if not GRANT_TABLE[state]] == ["REVOKED", "FAILED"]


@pytest.mark.parametrize(
    ("state", "event", "target"), list(itertools.product(GrantState, sorted(GRANT_EVENTS), GrantState))
)
def test_a_move_is_in_the_table_or_changes_nothing(state: GrantState, event: str, target: GrantState):
    grant = samples.grant(state)
    if target in GRANT_TABLE[state].get(event, ()):
        assert grant.moved(event, target).state is target
    else:
        with pytest.raises(IllegalTransition):
            grant.moved(event, target)


def test_a_grant_that_never_reached_aws_ends_at_once_with_that_proof():
    ended = grants.end(samples.grant("PENDING"), "revoke", NOW, by="user:kim", reason="no")
    assert (ended.state, ended.proof.kind) == ("REVOKED", ProofKind.NEVER_ISSUED)


@pytest.mark.parametrize("event", ["stale", "outcome_unknown", "revoke"])
def test_a_mint_whose_outcome_is_not_known_is_revoked_with_a_probe(event: str):
    lost = grants.end(samples.grant("MINTING"), event, NOW, by="worker", reason="lost")
    assert (lost.state, proof_wanted(lost)) == ("REVOKING", ProofKind.PROBE_DENIED)


@pytest.mark.parametrize(
    ("ttl", "kind"), [(4, ProofKind.TTL_DENIED), (899, ProofKind.EXPIRED), (900, ProofKind.EXPIRED)]
)
def test_an_end_by_time_is_shown_by_expiry_or_by_the_deny_on_time(ttl: int, kind: ProofKind):
    """899 s differs from the session's own 900 s by less than the minute in which expiry can be waited for."""
    ended = grants.end(samples.grant("ACTIVE", ttl_seconds=ttl), "ttl_elapsed", NOW, by="clock", reason="")
    assert proof_wanted(ended) is kind


def test_an_expiry_is_first_looked_at_when_it_can_be_read():
    ended = grants.end(samples.grant("ACTIVE"), "ttl_elapsed", NOW + timedelta(seconds=900), by="clock", reason="")
    assert prove_at(ended, NOW + timedelta(seconds=900)) == ended.expiration + timedelta(seconds=2)
    again = grants.revoke_failed(ended, "not yet", deny_written=False)
    assert prove_at(again, NOW) == NOW + backoff(1)


def test_the_deny_outlives_every_session_that_any_attempt_may_have_minted():
    claimed = grants.claim(samples.grant("PENDING"), NOW, timedelta(hours=2))
    live = grants.minted(claimed, NOW, access_key_id="A", ends_at=NOW, expiration=NOW + timedelta(minutes=15))
    assert grants.collect_at(live) == NOW + timedelta(hours=2) + COLLECT_MARGIN


def test_a_failed_revoke_stays_and_remembers_the_deny():
    failed = grants.revoke_failed(samples.grant("REVOKING"), "throttled", deny_written=True)
    again = grants.revoke_failed(failed, "throttled", deny_written=False)
    assert (again.state, again.attempts, again.deny_written, again.trouble) == ("REVOKING", 2, True, "throttled")


@given(st.integers(0, 10_000))
def test_backoff_grows_and_is_capped(attempts: int):
    assert timedelta(seconds=1) <= backoff(attempts) <= timedelta(seconds=120)
    assert backoff(attempts) <= backoff(attempts + 1)


@given(st.sampled_from(["REVOKED", "FAILED"]), st.sampled_from(sorted(GRANT_EVENTS)), st.sampled_from(GrantState))
def test_terminal_states_absorb(state: str, event: str, target: GrantState):
    with pytest.raises(IllegalTransition):
        samples.grant(state).moved(event, target)


def test_what_records_say_of_a_grant_holds_no_secret_and_is_canonical():
    for state in GrantState:
        assert b"secret" not in canonical(grants.facts(samples.grant(state)))
