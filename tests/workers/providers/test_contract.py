"""What every provider must do, asked of each sibling; a new one is one more parameter."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvers.grant import ProofKind
from tests.worlds.commands import Box
from tests.worlds.ministack import QUICK, Ministack, a_plan, new_grant_id
from workers.providers.command import CommandProvider
from workers.providers.dry_run import DryRunProvider
from workers.providers.port import Handle, ProofOutcome, Provider


@pytest.fixture(params=["aws", "dry_run", "command"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    if request.param == "dry_run":
        return DryRunProvider()
    if request.param == "command":
        return CommandProvider(Box.made(tmp_path / "commands").folder, pace=QUICK)
    aws: Ministack = request.getfixturevalue("aws")
    return aws.provider()


@pytest.mark.parametrize("ttl", [1, 60, 900, 3600])
def test_a_mint_ends_when_it_should_and_the_session_no_sooner(provider: Provider, ttl: int):
    before = datetime.now(UTC).replace(microsecond=0)
    minted = provider.mint(new_grant_id(), a_plan(ttl_seconds=ttl))
    slack = timedelta(seconds=5)
    assert timedelta(0) <= minted.ends_at - before - timedelta(seconds=ttl) < slack
    least = ttl if minted.secret.environment else max(ttl, 900)  # only a session of AWS is longer than its TTL
    assert timedelta(0) <= minted.expiration - before - timedelta(seconds=least) < slack
    assert minted.ends_at <= minted.expiration
    assert minted.secret.expiration == minted.expiration
    assert minted.ends_at.microsecond == 0


def test_a_mint_may_be_repeated_and_everything_is_given(provider: Provider):
    grant = new_grant_id()
    for minted in (provider.mint(grant, a_plan()), provider.mint(grant, a_plan())):
        secret = minted.secret
        assert secret.access_key_id
        assert secret.environment or (secret.secret_access_key and secret.session_token)
        assert minted.request_id


def test_a_revoked_grant_is_proven_and_collected_and_every_step_may_be_repeated(provider: Provider):
    grant = new_grant_id()
    minted = provider.mint(grant, a_plan())
    handle = Handle(grant, a_plan(), minted.ends_at, minted.expiration)
    provider.revoke(handle)
    provider.revoke(handle)
    reading = provider.verify(handle, ProofKind.PROBE_DENIED)
    assert reading.outcome is ProofOutcome.PROVEN
    assert reading.refused == reading.asked
    assert reading.detail
    assert reading.first_refused_at is not None
    assert reading.first_refused_at.tzinfo is not None
    provider.collect(handle)
    provider.collect(handle)
    assert grant not in provider.leftovers(a_plan())


def test_revoking_and_collecting_need_the_id_and_the_plan_only(provider: Provider):
    handle = Handle(new_grant_id(), a_plan())
    provider.revoke(handle)
    provider.collect(handle)


def test_a_foreign_id_is_refused_before_anything_is_done(provider: Provider):
    handle = Handle("grt_*", a_plan())
    for call in (
        lambda: provider.mint("grt_*", a_plan()),
        lambda: provider.revoke(handle),
        lambda: provider.collect(handle),
    ):
        with pytest.raises(ValueError, match="not a grant id"):
            call()


def test_nothing_secret_is_in_a_repr(provider: Provider):
    minted = provider.mint(new_grant_id(), a_plan())
    secret = minted.secret
    shown = f"{minted!r} {secret!r} {provider!r} {vars(provider)!r}"
    public = {secret.access_key_id, ""}
    for value in {secret.secret_access_key, secret.session_token, *(secret.environment or {}).values()} - public:
        assert value not in shown


def test_caps_cover_what_plans_admit(provider: Provider):
    assert provider.caps.early_revoke
    assert provider.caps.min_ttl <= timedelta(seconds=1)
    assert provider.caps.max_ttl >= timedelta(hours=1)


def test_a_dry_run_is_marked_as_one_everywhere():
    provider, grant = DryRunProvider(), new_grant_id()
    secret = provider.mint(grant, a_plan()).secret
    assert secret.access_key_id.startswith("DRYRUN")
    assert secret.secret_access_key.startswith("DRYRUN")
    assert secret.session_token.startswith("DRYRUN")
    assert "dry run" in provider.verify(Handle(grant, a_plan()), ProofKind.EXPIRED).detail
