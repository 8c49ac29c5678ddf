"""`countersign revoke --direct`: end sessions at AWS with an operator's own credentials, when Countersign is down.

It needs no store, no web process and no worker. What it writes for one grant is what the worker would write, so that
the reconciler takes it over once Countersign is back. What was written and could not be proven is said to be so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from approvers.grant import ProofKind
from approvers.times import stamp
from countersign.commands.common import WrongOption
from countersign.ops.directdeny import UNSURE, Asked, Deny, NotDone, session
from workers.providers import documents
from workers.providers.aws import AwsProvider
from workers.providers.port import Handle, ProofOutcome, ProviderError, Reading
from workers.providers.probing import Told, read
from workers.providers.steady import Steady

KEEP = (
    "leave the Deny where it is: removed while a session of the grant may be alive, it would bring that back to life. "
    "Once Countersign is back, its reconciler takes it over, proves the end and removes it in time"
)
KEEP_ALL = (
    "it ends what was issued before {}, and nothing later: run `countersign freeze`, or stop the workers. Remove it by "
    "hand once the last of those sessions has expired: docs/direct.md"
)


def end_grant(asked: Asked) -> None:
    """End every session of one grant, by its id alone. Raises Ended, or what keeps it from being written."""
    grant = _grant_id(asked.grant or "")
    plan, provider = asked.plan, AwsProvider(asked.access, pace=asked.pace)
    deny, handle = Deny(asked, documents.revoke_name(grant), documents.revoke_policy(grant)), Handle(grant, plan)
    if deny.shown(f"would end every session of {grant}"):
        return
    deny.check_account()
    deny.write(lambda: _done(lambda: provider.revoke(handle)))
    deny.judge(deny.while_proving(lambda: provider.verify(handle, ProofKind.PROBE_DENIED)), KEEP)


def end_everyone(asked: Asked) -> None:
    """End every session of a role that is older than now, whosever it is. Raises Ended, or what keeps it from that."""
    everyone = Deny(asked, documents.REVOKE_ALL, documents.revoke_all_policy(datetime.now(UTC)))
    if everyone.shown("would end EVERY session of the role, of every grant and every person, that is older than now"):
        return
    everyone.check_account()
    twin = _older(everyone, asked)
    before = everyone.aws_time() + timedelta(seconds=1)  # a session of this very second is older, too
    deny = Deny(asked, documents.REVOKE_ALL, documents.revoke_all_policy(before))
    deny.write(deny.put)
    deny.judge(deny.while_proving(lambda: _prove(deny, asked, twin, before)), KEEP_ALL.format(stamp(before)))


def _older(deny: Deny, asked: Asked) -> Callable[[], Told] | str:
    """Return what asks with a session issued now, before the Deny; or why there is none."""
    try:
        return session(deny.clients, asked)
    except ProviderError as error:
        return str(error)


def _prove(deny: Deny, asked: Asked, twin: Callable[[], Told] | str, before: datetime) -> Reading:
    """Ask with the session that is older than the Deny, beside one that is not."""
    if isinstance(twin, str):
        return Reading(ProofOutcome.UNKNOWN, 0, 0, None, f"no session of the role could be had to ask with: {twin}")
    while deny.aws_time() < before:
        time.sleep(0.2)
    try:
        control = session(deny.clients, asked)
    except ProviderError as error:
        return Reading(ProofOutcome.UNKNOWN, 0, 0, None, f"no newer session could be had beside it: {error}")
    return read(twin, control, asked.pace, now=Steady(), sleep=time.sleep)


def _done(call: Callable[[], None]) -> None:
    try:
        return call()
    except ProviderError as error:
        why = str(error)
    raise NotDone(f"{why}; {UNSURE}")


def _grant_id(text: str) -> str:
    try:
        return documents.checked_grant_id(text)
    except ValueError:
        pass
    raise WrongOption(
        "--direct takes a grant's id, grt_ and 26 capitals or digits (a handle is known to the store alone): it is in "
        "the session's name, grant-grt_…, and in the console",
        field="TARGET",
    )
